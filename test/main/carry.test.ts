import assert from "node:assert/strict";
import { test } from "node:test";
import { tablesOf } from "../../src/command/diff.ts";
import { LoadBalancingAlgorithms } from "../../src/command/gen/sozu_pb.ts";
import { request } from "../../src/command/messages.ts";
import { indexing } from "../../src/command/object-index.ts";
import { ConfigState } from "../../src/command/state.ts";
import { carryBase, carryState, restoreBase, restoreState } from "../../src/main/carry.ts";
import { inSlices } from "../../src/main/slices.ts";

function someState(): ConfigState {
  const state = new ConfigState();
  const ip = { inner: { case: "v4", value: 0x7f000001 } } as const;
  for (let i = 0; i < 20; i++) {
    const cluster = {
      clusterId: `c${i}`,
      stickySession: false,
      httpsRedirect: false,
      loadBalancing: LoadBalancingAlgorithms.ROUND_ROBIN,
    };
    state.apply(request({ case: "addCluster", value: cluster }), "file");
    const backend = { clusterId: `c${i}`, backendId: "b", address: { ip, port: 1000 + i } };
    state.apply(request({ case: "addBackend", value: backend }), "socket");
  }
  state.apply(request({ case: "removeCluster", value: "c3" }), "socket");
  return state;
}

test("a state is the same after it was carried: hashes, revision, counts", () => {
  const state = someState();
  const restored = restoreState(JSON.parse(JSON.stringify(carryState(state))));
  assert.deepEqual(restored.hash(), state.hash());
  assert.equal(restored.revision, state.revision);
  assert.deepEqual([...restored.requestCounts], [...state.requestCounts]);
  assert.equal(restored.mirror.hashLow, state.mirror.hashLow);
  assert.equal(restored.clusters.get("c1")?.origin, "file");
  assert.equal([...restored.backends.entries.values()][0]?.origin, "socket");
});

test("a state that does not come out as it went in is refused", () => {
  const carried = carryState(someState());
  assert.throws(() => restoreState({ ...carried, hash: [1, 2] }), /differs from it/);
});

test("the index of a file survives", async () => {
  const index = await inSlices(indexing(tablesOf(someState())));
  const restored = restoreBase(carryBase(index));
  assert.equal(restored.size, index.size);
  assert.equal(restored.without(index).size, 0);
});
