// Each rule of the doctor, with facts of machines that are well and of machines that are not; every finding that is not
// "ok" says what to do.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { test } from "node:test";
import {
  type Finding,
  judgeCertificate,
  judgeCluster,
  judgeFolder,
  judgeSandbox,
  judgeSystem,
  judgeTrust,
  type Needs,
  type SystemFacts,
} from "../../src/cli/doctor/findings.ts";
import { limitsOf, readFolder, readSystem, tryBind, tryConnect } from "../../src/cli/doctor/system.ts";

const WELL: SystemFacts = {
  openFilesSoft: 1024,
  openFilesHard: 1_048_576,
  fileMax: 9_000_000,
  processes: 30_000,
  somaxconn: 4096,
  portRange: [32_768, 60_999],
  memoryMax: null,
  clockSource: "tsc",
  nowMs: 2_000_000_000_000,
  builtMs: 1_900_000_000_000,
};
const NEEDS: Needs = { maxConnections: 10_000, workers: 2, bufferBytes: 16_393_000, backends: 3 };

function levels(findings: readonly Finding[]): string[] {
  for (const { level, next } of findings) assert.equal(next === null, level === "ok");
  return findings.filter(({ level }) => level !== "ok").map(({ check, level }) => `${level} ${check}`);
}

test("a machine that is well gives no finding, neither does one that tells nothing", () => {
  assert.deepEqual(levels(judgeSystem(WELL, NEEDS)), []);
  const silent = { openFilesSoft: null, openFilesHard: null, fileMax: null, processes: null, somaxconn: null };
  assert.deepEqual(levels(judgeSystem({ ...WELL, ...silent, portRange: null, clockSource: null }, NEEDS)), []);
});

test("each lack is found", () => {
  for (const [facts, found] of [
    [{ openFilesHard: 19_999 }, "problem open files"],
    [{ fileMax: 39_999 }, "problem open files"],
    [{ processes: 40 }, "problem processes"],
    [{ somaxconn: 128 }, "warning somaxconn"],
    [{ portRange: [60_000, 60_999] as const }, "warning outgoing ports"],
    [{ memoryMax: 200_000_000 }, "warning memory"],
    [{ nowMs: 1 }, "problem clock"],
    [{ clockSource: "hpet" }, "warning clock"],
  ] as const) {
    assert.deepEqual(levels(judgeSystem({ ...WELL, ...facts }, NEEDS)), [found]);
  }
});

test("certificates: expired, not valid yet, close to their end", () => {
  const day = 86_400;
  const now = 2_000_000_000;
  const judge = (notBefore: number, notAfter: number): readonly string[] => {
    const facts = {
      address: "0.0.0.0:443",
      names: ["a.test"],
      notBefore: now + notBefore * day,
      notAfter: now + notAfter * day,
    };
    const finding = judgeCertificate(facts, now * 1000);
    return [...levels([finding]), finding.message];
  };
  assert.deepEqual(judge(-9, 90), ["it is valid for 90 days"]);
  assert.deepEqual(judge(-9, 29), ["warning certificate of a.test at 0.0.0.0:443", "it expires in 29 days"]);
  assert.match(judge(-9, -2)[1]!, /it expired 2 days ago/);
  assert.match(judge(1, 90)[0]!, /^problem/);
});

test("the sandbox: on and possible, off, or not to be had here", () => {
  assert.deepEqual(levels([judgeSandbox("on", null), judgeSandbox("on", undefined)]), []);
  assert.deepEqual(levels([judgeSandbox("off", null)]), ["warning sandbox"]);
  assert.deepEqual(levels([judgeSandbox("required", "no")]), ["problem sandbox"]);
  assert.match(judgeSandbox("on", "this kernel has no seccomp filters").message, /workers run without it: this kernel/);
});

test("folders: missing, closed, full", () => {
  const facts = { purpose: "saved_state", folder: "/x", exists: true, writable: true, freeBytes: 1e12, freeInodes: 9 };
  assert.deepEqual(levels([judgeFolder(facts)]), []);
  assert.deepEqual(levels([judgeFolder({ ...facts, exists: false })]), ["problem saved_state"]);
  assert.deepEqual(levels([judgeFolder({ ...facts, writable: false })]), ["problem saved_state"]);
  assert.deepEqual(levels([judgeFolder({ ...facts, freeInodes: 0 })]), ["problem saved_state"]);
  assert.deepEqual(levels([judgeFolder({ ...facts, freeBytes: 1e8 })]), ["warning saved_state"]);
  assert.deepEqual(levels([judgeFolder({ ...facts, freeBytes: 1e6 })]), ["problem saved_state"]);
});

test("decisions 21: X-Forwarded-* trusted from anyone, unless only this machine connects", () => {
  const listener = { address: "0.0.0.0:80", ip: "0.0.0.0", trustedProxies: 0 };
  assert.deepEqual(levels([judgeTrust(listener)]), ["warning listener 0.0.0.0:80"]);
  assert.deepEqual(levels([judgeTrust({ ...listener, trustedProxies: 1 })]), []);
  assert.deepEqual(levels([judgeTrust({ ...listener, ip: "127.0.0.1" })]), []);
});

test("backends: all, some, none, nobody", () => {
  assert.deepEqual(levels([judgeCluster({ id: "a", reached: 2, failed: [] })]), []);
  assert.deepEqual(levels([judgeCluster({ id: "a", reached: 1, failed: ["x"] })]), ["warning cluster a"]);
  assert.deepEqual(levels([judgeCluster({ id: "a", reached: 0, failed: ["x"] })]), ["problem cluster a"]);
  assert.deepEqual(levels([judgeCluster({ id: "a", reached: 0, failed: [] })]), ["warning cluster a"]);
});

test("the facts are read: limits, folders, ports, connections", async (t) => {
  const limits = "Limit     Soft Limit  Hard Limit  Units\nMax processes  unlimited 7 processes\n";
  assert.deepEqual(limitsOf(limits, "Max processes"), [Number.POSITIVE_INFINITY, 7]);
  assert.deepEqual(limitsOf("", "Max processes"), [null, null]);
  assert.ok((readSystem(0).openFilesHard ?? 0) > 0);
  const folder = mkdtempSync(`${tmpdir()}/sozu-doctor-`);
  t.after(() => rmSync(folder, { recursive: true }));
  const facts = readFolder("x", folder);
  assert.ok(facts.writable && facts.exists && (facts.freeBytes ?? 0) > 0);
  assert.equal(readFolder("x", `${folder}/none`).exists, false);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  assert.equal(await tryBind("127.0.0.1", port), "EADDRINUSE");
  assert.equal(await tryConnect("127.0.0.1", port, 5000), null);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await tryBind("127.0.0.1", port), null);
  assert.equal(await tryConnect("127.0.0.1", port, 5000), "connection refused");
  assert.equal(await tryBind("192.0.2.1", port), "EADDRNOTAVAIL");
});
