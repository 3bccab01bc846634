// Against another implementation's command line: `openssl s_client` and `s_server`, all versions, suites and groups.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { EAGAIN } from "../../src/os/errno.ts";
import { listenTcp } from "../../src/os/listeners.ts";
import * as s from "../../src/os/sockets.ts";
import * as tls from "../../src/os/tls.ts";
import { makeCertificate } from "../command/certs.ts";
import { arena, connectTcp, nameOf, put, temporaryFolder } from "./descriptors.ts";
import { authority, clientContext, context, HELLO_AT, HELLO_ROOM, identity, leaf } from "./tls-peers.ts";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
const skip = hasOpenssl ? false : "needs the openssl command: apt-get install -y openssl";

interface Served {
  /** 0, or what ended the session. */
  readonly end: number;
  readonly cause: string;
  readonly facts: number[];
}

const rsaLeaf = makeCertificate({ names: ["example.com"], kind: "rsa", issuer: authority });

describe("openssl", { skip }, () => {
  const folder = temporaryFolder();
  const bundle = join(folder, "ca.pem");
  let ecdsa = -1;
  let rsa = -1;

  before(() => {
    writeFileSync(bundle, authority.pem);
    writeFileSync(join(folder, "leaf.pem"), leaf.pem + leaf.key);
    ecdsa = identity();
    rsa = identity(rsaLeaf);
    tls.setTicketKeys([randomBytes(tls.TICKET_KEY_BYTES)]);
  });
  after(() => {
    tls.destroyIdentity(ecdsa);
    tls.destroyIdentity(rsa);
    assert.equal(tls.tlsHandles().sessions, 0);
  });

  /** Serves one connection, echoing what comes, until it ends. */
  async function serve(listener: number, policy: number, alpn: number): Promise<Served> {
    let fd = s.accept(listener);
    for (; fd < 0; fd = s.accept(listener)) await turn();
    const session = tls.tlsAccept(fd, policy, 0, 0);
    let result = tls.handshake(session, HELLO_AT, HELLO_ROOM);
    while (result !== tls.HANDSHAKE_DONE && result !== tls.HANDSHAKE_FAILED) {
      if (result === tls.HANDSHAKE_HELLO) {
        tls.choose(session, policy, alpn, ecdsa);
        tls.addIdentity(session, rsa);
      } else {
        await turn();
      }
      result = tls.handshake(session, HELLO_AT, HELLO_ROOM);
    }
    let end = -1;
    const facts = result === tls.HANDSHAKE_DONE && tls.readFacts(session) === 0 ? Array.from(tls.factWords) : [];
    while (result === tls.HANDSHAKE_DONE) {
      const n = tls.tlsRead(session, 0, 16_384);
      if (n > 0) tls.tlsWrite(session, 0, n);
      else if (n === -EAGAIN) await turn();
      else {
        end = n;
        break;
      }
    }
    const cause = end === 0 ? "" : (tls.TLS_CAUSES[tls.failureWords[tls.FAILURE_CAUSE] ?? 0] ?? "?");
    tls.tlsShutdown(session);
    tls.tlsFree(session);
    s.close(fd);
    return { end, cause, facts };
  }

  /** What `openssl` prints; `talk` gets the process once it runs. */
  function run(args: readonly string[], talk: (child: ChildProcess) => void): Promise<string> {
    const child = spawn("openssl", args, { stdio: ["pipe", "pipe", "pipe"] });
    let output = "";
    child.stdin.on("error", () => {});
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()));
    talk(child);
    return new Promise((resolve) => child.on("close", () => resolve(output)));
  }

  interface Case {
    readonly args?: readonly string[];
    readonly server?: tls.TlsContextOptions;
    readonly alpn?: number;
    readonly input?: string;
    /** Lines sent after the echo of the input, each once the client has printed something: it reads one command at a time. */
    readonly commands?: readonly string[];
  }

  async function client(of: Case): Promise<{ output: string; served: Served }> {
    const listener = listenTcp({ ip: "127.0.0.1", port: 0 }, { reusePort: false });
    const policy = context(of.server);
    const serving = serve(listener, policy, of.alpn ?? tls.ALPN_NONE);
    const address = `127.0.0.1:${nameOf(listener).port}`;
    const args = ["s_client", "-connect", address, "-servername", "example.com", "-CAfile", bundle];
    const output = await run([...args, "-verify_return_error", ...(of.args ?? [])], (child) => {
      const lines = [of.input ?? "olleh\n", ...(of.commands ?? []), "Q\n"];
      const first = lines[0] ?? "";
      let seen = "";
      const next = (data: Buffer): void => {
        seen += data.toString();
        if (!seen.includes(first)) return;
        const line = lines.shift();
        if (line !== undefined) child.stdin?.write(line);
      };
      child.stdin?.write(lines.shift() ?? "");
      for (const stream of [child.stdout, child.stderr]) stream?.on("data", next);
    });
    const served = await serving;
    s.close(listener);
    tls.destroyContext(policy);
    return { output, served };
  }

  for (const suite of tls.TLS_SUITES) {
    test(`${suite.name} is agreed on and carries data`, async () => {
      const option = suite.isTls13 ? "-ciphersuites" : "-cipher";
      const version = suite.isTls13 ? "-tls1_3" : "-tls1_2";
      const { output, served } = await client({ args: [version, option, suite.openssl] });
      assert.match(output, /olleh/);
      assert.match(output, new RegExp(`Cipher is ${suite.openssl}`));
      assert.equal(served.facts[tls.FACT_CIPHER], suite.id);
      assert.equal(served.end, 0);
    });
  }

  for (const [name, id] of [
    ["X25519", 29],
    ["P-256", 23],
    ["P-384", 24],
  ] as const) {
    test(`the group ${name}`, async () => {
      const { served } = await client({ args: ["-groups", name] });
      assert.equal(served.facts[tls.FACT_GROUP], id);
    });
  }

  test("a group that needs a HelloRetryRequest, with one pause", async () => {
    const { served } = await client({ args: ["-groups", "X25519:P-384"], server: { groups: ["P-384"] } });
    assert.equal(served.facts[tls.FACT_GROUP], 24);
    assert.equal(served.end, 0);
  });

  test("TLS-17 what an old client offers is refused", async () => {
    for (const args of [
      ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"],
      ["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
      ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"],
      ["-groups", "P-521"],
      ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    ]) {
      const { output, served } = await client({ args });
      assert.deepEqual(served.facts, [], args.join(" "));
      assert.match(output, /alert (handshake failure|protocol version)/);
    }
  });

  test("ALPN reaches the client", async () => {
    const { output } = await client({ args: ["-alpn", "h2,http/1.1"], alpn: tls.ALPN_HTTP11 });
    assert.match(output, /ALPN protocol: http\/1\.1/);
  });

  test("the OCSP response is stapled when the client asks", async () => {
    // Not a good one, so the client prints that it cannot read it: what counts is that the bytes arrive.
    assert.equal(tls.setStaple(ecdsa, Buffer.from("30030a0106", "hex")), 0);
    const asked = await client({ args: ["-status", "-tlsextdebug"] });
    assert.match(asked.output, /OCSP Response Status: internalerror|OCSP response:\s*={3,}|OCSP Response Data/i);
    assert.equal(tls.setStaple(ecdsa, new Uint8Array(0)), 0);
    const none = await client({ args: ["-status"] });
    assert.match(none.output, /OCSP response: no response sent/);
  });

  for (const version of ["-tls1_2", "-tls1_3"]) {
    test(`a ticket is taken and resumed (${version})`, async () => {
      const file = join(folder, `session${version}.pem`);
      const first = await client({ args: [version, "-sess_out", file] });
      assert.match(first.output, /^New, /m);
      const again = await client({ args: [version, "-sess_in", file] });
      assert.match(again.output, /^Reused, /m);
      assert.equal(again.served.facts[tls.FACT_RESUMED], 1);
    });
  }

  test("TLS-04 a client that renegotiates is refused, and the session lives", async () => {
    const { output, served } = await client({ args: ["-tls1_2"], commands: ["R\n"] });
    assert.match(output, /RENEGOTIATING/);
    assert.match(output, /no renegotiation/);
    assert.notEqual(served.cause, "flood");
  });

  test("TLS-06 KeyUpdates are answered; a flood of them ends the session", async () => {
    const keys = Array.from({ length: 10 }, () => "K\n");
    const some = await client({ args: ["-tls1_3"], commands: [...keys, "more\n"] });
    assert.match(some.output, /KEYUPDATE.*more/s);
    assert.equal(some.served.end, 0);
    const many = await client({
      args: ["-tls1_3"],
      server: { handshakeMessagesPerSecond: 3 },
      commands: keys,
    });
    assert.equal(many.served.cause, "flood");
  });

  test("TLS-07 early data is not accepted", async () => {
    const file = join(folder, "early.pem");
    await client({ args: ["-tls1_3", "-sess_out", file] });
    const text = spawnSync("openssl", ["sess_id", "-in", file, "-noout", "-text"]).stdout.toString();
    assert.match(text, /Max Early Data: 0/);
  });

  for (const version of ["-tls1_2", "-tls1_3"]) {
    test(`as a client: data, verification, a client certificate (${version})`, async () => {
      const pem = join(folder, "leaf.pem");
      const args = ["s_server", "-accept", "127.0.0.1:0", "-cert", pem, "-key", pem, "-CAfile", bundle, version];
      const policy = clientContext({ alpn: ["http/1.1"] });
      const place = tls.createResumption();
      const resumed: (number | undefined)[] = [];
      let done: () => void = () => {};
      const finished = new Promise<void>((resolve) => (done = resolve));
      const running = run([...args, "-Verify", "2", "-rev", "-alpn", "http/1.1", "-naccept", "2"], (child) => {
        let printed = "";
        child.stdout?.on("data", async (data: Buffer) => {
          printed += data.toString();
          const port = /ACCEPT 127\.0\.0\.1:(\d+)/.exec(printed)?.[1];
          if (port === undefined || resumed.length > 0) return;
          for (let visit = 0; visit < 2; visit++) resumed[visit] = await talk(Number(port), policy, place);
          done();
        });
      });
      await finished;
      assert.deepEqual(resumed, [0, 1]);
      await running;
      tls.destroyResumption(place);
      tls.destroyContext(policy);
    });
  }

  /** One line there and back; whether the session was resumed. */
  async function talk(port: number, policy: number, place: number): Promise<number | undefined> {
    const fd = connectTcp({ ip: "127.0.0.1", port });
    const session = tls.tlsConnect(fd, policy, "example.com", "example.com", ecdsa, place);
    let result = tls.handshake(session, 0, 0);
    while (result === tls.HANDSHAKE_READ || result === tls.HANDSHAKE_WRITE) {
      await turn();
      result = tls.handshake(session, 0, 0);
    }
    assert.equal(result, tls.HANDSHAKE_DONE, Array.from(tls.failureWords).join());
    tls.readFacts(session);
    const resumed = tls.factWords[tls.FACT_RESUMED];
    assert.equal(tls.factWords[tls.FACT_ALPN], tls.ALPN_HTTP11);
    tls.tlsWrite(session, 0, put(0, "abc\n"));
    let n = tls.tlsRead(session, 0, 100);
    for (; n === -EAGAIN; n = tls.tlsRead(session, 0, 100)) await turn();
    assert.equal(Buffer.from(arena.subarray(0, n)).toString(), "cba\n");
    tls.tlsShutdown(session);
    tls.tlsFree(session);
    s.close(fd);
    return resumed;
  }
});
