import assert from "node:assert/strict";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ClusterSchema } from "../../src/command/gen/sozu_pb.ts";
import { request } from "../../src/command/messages.ts";
import { ConfigState, type Origin } from "../../src/command/state.ts";
import { Journal, type JournalFacts, readFacts, readJournal } from "../../src/main/journal.ts";
import { packItem } from "../../src/main/packed-requests.ts";
import { memfd } from "../../src/os/shared.ts";
import { close } from "../../src/os/sockets.ts";

const FACTS = { version: 1, generation: 7, revision: 3, counts: [["AddCluster", 5]], settings: {}, nextId: 2 };

function cluster(id: string) {
  return request({
    case: "addCluster",
    value: create(ClusterSchema, { clusterId: id, stickySession: false, httpsRedirect: false, loadBalancing: 0 }),
  });
}

function begin(clusters: readonly (readonly [string, Origin])[]): Journal {
  const journal = new Journal(7);
  journal.note(FACTS as unknown as JournalFacts);
  journal.taken(
    clusters.map(([id, origin]) => packItem(cluster(id), origin)),
    0,
  );
  journal.begun();
  return journal;
}

test("decisions 25: state, origins, revision and facts come back as they were", (t) => {
  const journal = begin([["a", "file"]]);
  t.after(() => journal.close());
  journal.taken([packItem(cluster("b"), "socket"), packItem(cluster("c"), "saved_state")], 5);
  journal.note({ nextId: 9 });
  const { facts, state, lost, base } = readJournal(journal.readFd);
  const expected = new ConfigState();
  for (const id of ["a", "b", "c"]) expected.apply(cluster(id), "socket");
  assert.deepEqual(state.hash(), expected.hash());
  assert.deepEqual([...state.clusters.entries.values()].map(({ origin }) => origin).sort(), [
    "file",
    "saved_state",
    "socket",
  ]);
  assert.ok(state.revision > 5);
  assert.equal(facts.nextId, 9);
  assert.equal(lost, 0);
  assert.equal(base, null);
  // Those of the beginning are not counted once more.
  assert.equal(state.requestCounts.get("AddCluster"), 7);
});

test("a change that was taken back is not made", (t) => {
  const journal = begin([]);
  t.after(() => journal.close());
  journal.taken([packItem(cluster("refused"), "socket")], 4);
  journal.taken([packItem(cluster("kept"), "socket")], 5);
  journal.undone(4);
  assert.deepEqual([...readJournal(journal.readFd).state.clusters.entries.keys()], ["kept"]);
});

test("a record that was being written is not there, wherever it broke off", (t) => {
  const journal = begin([["a", "file"]]);
  t.after(() => journal.close());
  const whole = readFileSync(`/proc/self/fd/${journal.readFd}`).length;
  journal.taken([packItem(cluster("b"), "socket")], 4);
  const bytes = readFileSync(`/proc/self/fd/${journal.readFd}`);
  for (let length = whole; length < bytes.length; length++) {
    const fd = memfd("torn", 0);
    writeFileSync(`/proc/self/fd/${fd}`, bytes.subarray(0, length));
    const reading = openSync(`/proc/self/fd/${fd}`, "r");
    assert.deepEqual([...readJournal(reading).state.clusters.entries.keys()], ["a"]);
    close(reading);
    close(fd);
  }
});

test("a file that could be written to is no journal: a worker might have forged it", (t) => {
  const journal = begin([]);
  t.after(() => journal.close());
  assert.equal(readFacts(journal.readFd)?.generation, 7);
  assert.throws(() => writeFileSync(journal.readFd, "x"), /EBADF|bad file/);
  const fd = memfd("forged", 0);
  t.after(() => close(fd));
  writeFileSync(`/proc/self/fd/${fd}`, readFileSync(`/proc/self/fd/${journal.readFd}`));
  assert.equal(readFacts(fd), null);
});
