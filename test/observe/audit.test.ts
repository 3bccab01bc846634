// The lines of the audit trail (spec 12.9): columns and keys in their order, nothing that comes from outside forges one,
// files are private.

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { type AuditEvent, AuditLog, column, renderJson, renderText } from "../../src/observe/audit.ts";
import { Logger } from "../../src/observe/logger.ts";
import { BatchSink } from "../../src/observe/sink.ts";
import { MemoryTarget } from "./memory-target.ts";

const BUILD = { socket: "/run/sozu.sock", version: "0.1.0", build: "abc" };
const TS = "2026-11-20T17:56:51.123Z";
const ULID = "01KAGX5D2Q7N8P9R0S1T2V3W4X";

function event(change: Partial<AuditEvent> = {}): AuditEvent {
  return {
    client: {
      actor: { uid: 1000, gid: 1000, pid: 42, user: "ann", comm: "sozu" },
      clientId: 7,
      sessionUlid: ULID,
      connectedMs: Date.parse(TS),
    },
    requestUlid: ULID,
    verb: "cluster_added",
    target: "cluster:app",
    ok: true,
    clusterId: "app",
    backendId: null,
    errorCode: null,
    reason: null,
    elapsedMs: null,
    fanout: null,
    workers: null,
    requestSha256: null,
    lease: null,
    ...change,
  };
}

function logger(): { log: Logger; target: MemoryTarget; sink: BatchSink } {
  const target = new MemoryTarget();
  const sink = new BatchSink(target);
  return { log: new Logger({ tag: "MAIN", pid: 1, sink, directives: "info", colored: false }), target, sink };
}

test("spec 12.9: the text of an attempt and of a completion", () => {
  const head = `[${ULID} ${ULID} app -]\tAUDIT\tCommand(ts=${TS}, verb=cluster_added, actor_uid=1000, actor_gid=1000, `;
  const actor = "actor_pid=42, actor_role=user, actor_user=ann, actor_comm=sozu, client_id=7, ";
  const place = `connect_ts=${TS}, socket=/run/sozu.sock, target=cluster:app, result=`;
  const tail = "sozu_version=0.1.0, build_git_sha=abc, boot_generation=0)";
  assert.equal(renderText(event(), TS, BUILD), `${head}${actor}${place}ok, ${tail}`);
  const done = event({
    ok: false,
    errorCode: "WORKERS_REFUSED",
    reason: "0: no, never=so",
    elapsedMs: 3.7,
    fanout: "partial",
    workers: { ok: 1, err: 1, expected: 2 },
    requestSha256: "0011223344556677",
  });
  const outcome =
    "err, error_code=WORKERS_REFUSED, reason=0: no? never?so, elapsed_ms=3, fanout=partial, workers=1/1/2";
  assert.equal(
    renderText(done, TS, BUILD),
    `${head}${actor}${place}${outcome}, request_sha256=0011223344556677, ${tail}`,
  );
});

test("spec 12.9: the keys of a JSON line, in their order", () => {
  const line = JSON.parse(renderJson(event({ elapsedMs: 2, fanout: "local_only" }), TS, BUILD));
  assert.deepEqual(Object.keys(line), [
    ..."ts boot_generation session_ulid request_ulid actor client_id connect_ts socket verb target".split(" "),
    ..."result cluster_id backend_id sozu_version build_git_sha extras".split(" "),
  ]);
  assert.deepEqual(line.actor, { uid: 1000, gid: 1000, pid: 42, user: "ann", comm: "sozu", role: "user" });
  assert.deepEqual(line.extras, { elapsed_ms: 2, fanout: "local_only" });
});

test("spec 12.9: a lease of metric detail has its id and reason", () => {
  const made = event({ lease: { id: "top:1, x".repeat(20), reason: "" } });
  const id = "top:1? x".repeat(8);
  assert.match(
    renderText(made, TS, BUILD),
    new RegExp(`, lease_id=${id.replaceAll("?", "\\?")}, metric_detail_reason=-, `),
  );
  const { extras } = JSON.parse(renderJson(made, TS, BUILD));
  assert.deepEqual(extras, { lease_id: "top:1, x".repeat(8), metric_detail_reason: "" });
});

test("roles: root, system, user, unknown", () => {
  const roleOf = (uid: number): string => {
    const actor = { ...event().client.actor, uid };
    return JSON.parse(renderJson(event({ client: { ...event().client, actor } }), TS, BUILD)).actor.role;
  };
  assert.deepEqual([0, 33, 1000, 0xffffffff].map(roleOf), ["root", "system", "user", "unknown"]);
});

test("whatever a name holds, a line stays one line with the columns it has", () => {
  const hostile = fc.string({ unit: "binary", maxLength: 300 });
  fc.assert(
    fc.property(hostile, hostile, hostile, (name, reason, comm) => {
      const actor = { ...event().client.actor, comm, user: comm };
      const client = { ...event().client, actor };
      const target = `cluster:${column(name)}`;
      const made = event({ clusterId: name, reason, target, client, ok: false });
      const text = renderText(made, TS, BUILD);
      assert.doesNotMatch(text.replaceAll("\t", ""), /[\0-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\ufeff]/);
      assert.equal(text.match(/result=/g)?.length, 1);
      assert.equal(text.match(/, /g)?.length, 16);
      assert.equal(renderJson(made, TS, BUILD).split("\n").length, 1);
    }),
  );
});

test("files are made with mode 0640 in a folder of 0750, and wider ones are narrowed with a warning", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "sozu-audit-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const textPath = join(folder, "made", "audit.log");
  const jsonPath = join(folder, "audit.json");
  writeFileSync(jsonPath, "before\n");
  chmodSync(jsonPath, 0o666);
  const { log, target, sink } = logger();
  const audit = new AuditLog({ logger: log, ...BUILD, textPath, jsonPath, nowMs: () => Date.parse(TS) });
  audit.record(event());
  while (!readFileSync(textPath, "utf8").endsWith("\n") || statSync(jsonPath).mode % 0o1000 !== 0o640) {
    await new Promise(setImmediate);
  }
  audit.close();
  sink.flushSync();
  assert.equal(statSync(textPath).mode & 0o777, 0o640);
  assert.equal(statSync(join(folder, "made")).mode & 0o027, 0);
  assert.equal(readFileSync(textPath, "utf8"), `${renderText(event(), TS, BUILD)}\n`);
  assert.equal(readFileSync(jsonPath, "utf8"), `before\n${renderJson(event(), TS, BUILD)}\n`);
  const said = target.takeText();
  assert.match(said, /had mode 666, narrowed to 640/);
  assert.match(said, /INFO {2}MAIN\t\[.*\]\tAUDIT\tCommand\(/);
});

test("a file that cannot be opened is an error with its key", () => {
  const { log } = logger();
  const paths = { textPath: "/proc/none/audit.log", jsonPath: null };
  assert.throws(() => new AuditLog({ logger: log, ...BUILD, ...paths }), /audit_logs_target/);
  assert.equal(existsSync("/proc/none"), false);
});

test("a disk that stands still costs lines, never memory or time", () => {
  const { log } = logger();
  const audit = new AuditLog({ logger: log, ...BUILD, textPath: "/dev/full", jsonPath: null });
  for (let i = 0; i < 5000; i++) audit.record(event({ reason: "x".repeat(500) }));
  assert.ok(audit.lost > 0);
  audit.close();
});
