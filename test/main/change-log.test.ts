import assert from "node:assert/strict";
import { test } from "node:test";
import type { Standing } from "../../src/command/worker-protocol.ts";
import { ChangeLog, type ChangeTargets, type Outcome } from "../../src/main/change-log.ts";

/** Workers 1 and 2, with everything that was asked of them written down. */
class Targets implements ChangeTargets {
  readonly sent: { blocks: number; revision: number }[] = [];
  readonly replaced: { worker: number; reason: string; kill: boolean }[] = [];
  workers = [1, 2];

  serving(): number[] {
    return this.workers;
  }

  send(blocks: readonly Uint8Array[], revision: number): void {
    this.sent.push({ blocks: blocks.length, revision });
  }

  replace(worker: number, reason: string, kill: boolean): void {
    this.replaced.push({ worker, reason, kill });
    this.workers = this.workers.filter((other) => other !== worker);
  }
}

const BLOCK = new Uint8Array(1);

function standing(hash: number, refusals: Standing["refusals"] = []): Standing {
  return { hashLow: hash, hashHigh: 0, sessions: 0, refusals };
}

function setUp() {
  const targets = new Targets();
  const log = new ChangeLog(targets);
  const undone: number[] = [];
  const outcomes: Outcome[] = [];
  // The hash of revision n is 10 n.
  const record = (revision: number, deadlineMs = 1000): void => {
    const hash = { low: revision * 10, high: 0 };
    const undo = (): void => void undone.push(revision);
    log.record({ revision, hash, block: BLOCK, deadlineMs, undo }).then((outcome) => outcomes.push(outcome));
  };
  return { targets, log, undone, outcomes, record };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a change is applied when every serving worker has acknowledged it", async () => {
  const { targets, log, outcomes, record } = setUp();
  record(1);
  log.flush();
  log.onAck(1, 1, standing(10));
  await settled();
  assert.deepEqual(outcomes, []);
  log.onAck(2, 1, standing(10));
  await settled();
  assert.deepEqual(outcomes, [{ kind: "applied", note: "", accepted: 2, failed: 0 }]);
  assert.deepEqual(targets.replaced, []);
  assert.equal(log.pending, 0);
});

test("changes recorded before a flush travel together, an empty flush sends nothing", () => {
  const { targets, log, record } = setUp();
  record(1);
  record(2);
  log.flush();
  log.flush();
  assert.deepEqual(targets.sent, [{ blocks: 2, revision: 2 }]);
});

test("an acknowledgement covers every earlier change", async () => {
  const { log, outcomes, record } = setUp();
  record(1);
  record(2);
  log.onAck(1, 2, standing(20));
  log.onAck(2, 2, standing(20));
  await settled();
  assert.equal(outcomes.length, 2);
});

test("CP-11 decisions 12: a change that every worker refuses is taken back", async () => {
  const { targets, log, undone, outcomes, record } = setUp();
  record(1);
  const refusals = [{ revision: 1, reason: "no, a=b" }];
  log.onAck(1, 1, standing(0, refusals));
  log.onAck(2, 1, standing(0, refusals));
  await settled();
  assert.deepEqual(outcomes, [{ kind: "refused", reason: "1: no? a?b, 2: no? a?b", accepted: 0, failed: 2 }]);
  assert.deepEqual(undone, [1]);
  assert.deepEqual(targets.replaced, []);
});

test("CP-11 decisions 12: a change that one worker refuses stays, and that worker is replaced", async () => {
  const { targets, log, undone, outcomes, record } = setUp();
  record(1);
  log.onAck(1, 1, standing(0, [{ revision: 1, reason: "no room" }]));
  log.onAck(2, 1, standing(10));
  await settled();
  assert.equal(outcomes[0].kind, "applied");
  assert.match((outcomes[0] as { note: string }).note, /worker 1, which is being replaced \(1: no room\)/);
  assert.deepEqual(undone, []);
  assert.deepEqual(targets.replaced, [{ worker: 1, reason: "it refused a change that others took", kill: false }]);
});

test("decisions 12: a worker that is late is named and replaced by force", async () => {
  const { targets, log, outcomes, record } = setUp();
  record(1, 500);
  log.onAck(1, 1, standing(10));
  log.expire(499);
  await settled();
  assert.deepEqual(outcomes, []);
  log.expire(500);
  await settled();
  assert.deepEqual(outcomes, [{ kind: "timed out", workers: [2], accepted: 1, failed: 1 }]);
  assert.equal(targets.replaced[0].kill, true);
});

test("decisions 13: a worker whose hash differs is replaced", () => {
  const { targets, log, record } = setUp();
  record(1);
  log.onAck(1, 1, standing(11));
  assert.equal(targets.replaced[0].worker, 1);
  assert.match(targets.replaced[0].reason, /differs from main's at revision 1/);
});

test("after a change was taken back, hashes are compared again from the next change on", () => {
  const { targets, log, record } = setUp();
  record(1);
  record(2);
  const refusals = [{ revision: 1, reason: "no" }];
  // Main's hash of revision 2 includes what both refused: they differ for a good reason.
  log.onAck(1, 2, standing(999, refusals));
  log.onAck(2, 2, standing(999, refusals));
  assert.deepEqual(targets.replaced, []);
  record(3);
  log.onAck(1, 3, standing(30));
  assert.deepEqual(targets.replaced, []);
  log.onAck(2, 3, standing(31));
  assert.equal(targets.replaced.length, 1);
});

test("a worker that dies holds no change up", async () => {
  const { log, outcomes, record } = setUp();
  record(1);
  log.onAck(1, 1, standing(10));
  log.onGone(2);
  await settled();
  assert.deepEqual(outcomes, [{ kind: "applied", note: "", accepted: 1, failed: 0 }]);
});

test("without a serving worker a change is applied at once", async () => {
  const { targets, outcomes, record } = setUp();
  targets.workers = [];
  record(1);
  await settled();
  assert.deepEqual(outcomes, [{ kind: "applied", note: "", accepted: 0, failed: 0 }]);
});
