// The difference of two states: following it makes them equal and touches only what differs, in an order that never
// leaves anything without what it needs; and the three ways of decisions 10.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { formatAddress } from "../../src/command/address.ts";
import { diff, freezeTables, type Plan, type PlanMode, planSteps, tablesOf } from "../../src/command/diff.ts";
import { DIFF_KINDS } from "../../src/command/diff-kinds.ts";
import type { Request } from "../../src/command/gen/sozu_pb.ts";
import { comparing, differing, indexing, type ObjectIndex } from "../../src/command/object-index.ts";
import { sameObject } from "../../src/command/state/table.ts";
import { ConfigState } from "../../src/command/state.ts";
import {
  addBackend,
  addCluster,
  addFrontend,
  addListener,
  address,
  answer,
  anyRequest,
  onListener,
  removeCluster,
  updateListener,
} from "./requests.ts";

function stateOf(...requests: Request[]): ConfigState {
  const state = new ConfigState();
  for (const one of requests) state.apply(one, "socket");
  return state;
}

function finish<T>(steps: Generator<void, T>): T {
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

function follow(state: ConfigState, plan: Plan, each: () => void = () => undefined): void {
  for (const one of plan.requests) {
    const result = state.apply(one, "file");
    assert.ok(result.ok, result.ok ? "" : `${one.requestType.case}: ${result.error.message}`);
  }
  each();
}

function plan(running: ConfigState, target: ConfigState, mode: PlanMode): Plan {
  const steps = planSteps(tablesOf(running), tablesOf(target), mode);
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

function hashes(state: ConfigState): string {
  const clusters = [...state.mirror.clusterHashes()].sort(([a], [b]) => (a < b ? -1 : 1));
  const { low, high } = state.hash();
  const { hashLow, hashHigh, size } = state.mirror;
  return `${low}:${high} ${hashLow}:${hashHigh}:${size} ${clusters.join(" ")}`;
}

function lines({ changes }: Plan): string[] {
  return changes.map((each) => {
    const fields = each.fields().map(({ field, before, after }) => ` ${field} ${before} -> ${after}`);
    return `${each.action} ${each.kind} ${each.name}${fields.join("")}${each.overridden ? " (won)" : ""}`;
  });
}

function sameActive(old: { readonly object: object }, object: object): boolean {
  return (old.object as { active?: boolean }).active === (object as { active?: boolean }).active;
}

const anyRequests = fc.array(anyRequest(), { maxLength: 40 });

test("for random states a and b, apply(a, diff(a, b)) equals b and touches only what differs", () => {
  fc.assert(
    fc.property(anyRequests, anyRequests, (first, second) => {
      const a = stateOf(...first);
      const b = stateOf(...second);
      const before = freezeTables(a);
      const wanted = tablesOf(b);
      follow(a, diff(a, b));
      assert.equal(hashes(a), hashes(b));
      tablesOf(a).forEach((table, index) => {
        assert.equal(table.size, wanted[index]!.size);
        for (const [key, entry] of table.entries()) {
          const old = before[index]!.get(key);
          const { object } = wanted[index]!.get(key)!;
          assert.ok(sameObject(entry.object, object));
          if (
            old !== undefined &&
            DIFF_KINDS[index]!.isSame(old, wanted[index]!.get(key)!) &&
            sameActive(old, object)
          ) {
            assert.equal(entry, old, "it was touched");
          }
        }
      });
      assert.deepEqual(diff(a, b).requests, [], "nothing is left to do");
    }),
    { numRuns: 300 },
  );
});

test("objects that are equal keep their entry", () => {
  fc.assert(
    fc.property(anyRequests, fc.array(anyRequest(), { maxLength: 3 }), (first, requests) => {
      const a = stateOf(...first);
      const b = stateOf(...a.toRequests(), ...requests);
      const before = freezeTables(a);
      const { changes } = diff(a, b);
      const changed = new Set(changes.map(({ kind, name }) => `${kind} ${name}`));
      assert.ok(changed.size <= 2 * requests.length);
      follow(a, diff(a, b));
      let kept = 0;
      tablesOf(a).forEach((table, index) => {
        for (const [key, entry] of table.entries()) if (before[index]!.get(key) === entry) kept++;
      });
      const total = tablesOf(a).reduce((sum, table) => sum + table.size, 0);
      assert.ok(kept >= total - changed.size);
    }),
  );
});

test("on the way no frontend is without its listener, and no listener that stays is removed", () => {
  fc.assert(
    fc.property(anyRequests, anyRequests, (first, second) => {
      const a = stateOf(...first);
      const b = stateOf(...second);
      const staying = [...a.httpListeners.entries.keys()].filter((key) => b.httpListeners.get(key) !== undefined);
      const wanted = new Set(b.httpFrontends.entries.keys());
      follow(a, diff(a, b), () => {
        for (const key of staying) assert.ok(a.httpListeners.get(key) !== undefined);
        for (const [key, { object }] of a.httpFrontends.entries.entries()) {
          const at = formatAddress(object.address);
          if (wanted.has(key) && b.httpListeners.get(at) !== undefined)
            assert.ok(a.httpListeners.get(at) !== undefined);
        }
      });
    }),
  );
});

test("what differs is said field by field, secrets only by name", () => {
  const hash = `user:${"0123456789abcdef".repeat(4)}`;
  const a = stateOf(
    addListener("127.0.0.1:80", { publicAddress: address("192.0.2.1:80") }),
    addCluster("app", { answers: { "404": answer("404") }, healthCheck: undefined }),
    addBackend("app", "b0"),
    addFrontend("a.test"),
  );
  const b = stateOf(
    addListener("127.0.0.1:80", { frontTimeout: 30 }),
    onListener("activateListener", "127.0.0.1:80"),
    addCluster("app", { loadBalancing: 5, authorizedHashes: [hash] }),
    addBackend("app", "b1"),
    addFrontend("a.test", "/", { clusterId: "other" }),
  );
  assert.deepEqual(lines(diff(a, b)), [
    "change listener 127.0.0.1:80 public_address 192.0.2.1:80 -> null front_timeout 60 -> 30 active false -> true",
    `change cluster app load_balancing ROUND_ROBIN -> MAGLEV answers.404 ${answer("404")} -> null authorized_hashes null -> null`,
    "add backend app b1 127.0.0.1:1026",
    "remove backend app b0 127.0.0.1:1026",
    "change frontend 0.0.0.0:8080;a.test;P/ cluster_id app -> other",
  ]);
  follow(a, diff(a, b));
  assert.equal(hashes(a), hashes(b));
});

test("decisions 10: three-way, object by object", () => {
  const file = [addListener("127.0.0.1:80"), addCluster("a"), addCluster("b"), addCluster("c"), addCluster("d")];
  const base = finish(indexing(freezeTables(stateOf(...file))));
  const running = stateOf(
    ...file,
    // Over the socket: one changed, two changed that the file changes or removes, one removed, one added.
    addCluster("a", { httpsRedirect: true }),
    addCluster("b", { httpsRedirect: true }),
    addCluster("c", { httpsRedirect: true }),
    removeCluster("d"),
    addCluster("socket"),
    updateListener("127.0.0.1:80", { frontTimeout: 5 }),
  );
  const next = stateOf(
    addListener("127.0.0.1:80"),
    addCluster("a"),
    addCluster("b", { loadBalancing: 5 }),
    addCluster("d"),
    addCluster("new"),
  );
  // As a reload: only what differs from the index is at hand.
  const against = (before: ObjectIndex): Plan => {
    const { changed, gone } = finish(comparing(tablesOf(next), before));
    return plan(running, stateOf(...differing(changed)), { kind: "changes", base, gone });
  };
  const found = against(base);
  assert.deepEqual(lines(found).sort(), [
    "add cluster new",
    "change cluster b https_redirect true -> false load_balancing ROUND_ROBIN -> MAGLEV (won)",
    "remove cluster c (won)",
  ]);
  follow(running, found);
  assert.deepEqual([...running.clusters.entries.keys()].sort(), ["a", "b", "new", "socket"]);
  const pruned = against(finish(indexing(tablesOf(running))));
  assert.deepEqual(lines(pruned).sort(), [
    "add cluster d (won)",
    "change cluster a https_redirect true -> false (won)",
    "change listener 127.0.0.1:80 front_timeout 5 -> 60 (won)",
    "remove cluster socket (won)",
  ]);
  follow(running, pruned);
  assert.equal(hashes(running), hashes(next));
});

test("decisions 11: adding keeps listeners and frontends that differ, and removes nothing", () => {
  const running = stateOf(addListener("127.0.0.1:80"), addCluster("a"), addCluster("z"), addFrontend("a.test"));
  const target = stateOf(
    addListener("127.0.0.1:80", { frontTimeout: 5 }),
    addListener("127.0.0.1:81"),
    addCluster("a", { loadBalancing: 5 }),
    addFrontend("a.test", "/", { clusterId: "z" }),
  );
  const found = plan(running, target, { kind: "add" });
  assert.deepEqual(lines(found), [
    "add listener 127.0.0.1:81",
    "change cluster a load_balancing ROUND_ROBIN -> MAGLEV",
  ]);
  assert.deepEqual(found.kept, ["listener 127.0.0.1:80", "frontend 0.0.0.0:8080;a.test;P/"]);
});
