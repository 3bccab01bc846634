import assert from "node:assert/strict";
import { fstatSync, openSync } from "node:fs";
import { test } from "node:test";
import { ChangeWriter } from "../../src/command/flat.ts";
import { StateMirror } from "../../src/command/mirror.ts";
import type { BackendObject, Change, HttpListenerObject, SocketAddress } from "../../src/command/objects.ts";
import type { Http2Object, TlsObject } from "../../src/command/objects-tls.ts";
import { Replica, type ReplicaTarget } from "../../src/worker/replica.ts";
import { clusterOf } from "../proxy/rig.ts";

const address: SocketAddress = { ip: "127.0.0.1", port: 8080 };
const listener: HttpListenerObject = {
  address,
  publicAddress: null,
  expectProxy: false,
  stickyName: "S",
  frontTimeout: 1,
  backTimeout: 1,
  connectTimeout: 1,
  requestTimeout: 1,
  active: false,
  sozuIdHeader: "Sozu-Id",
  elideXRealIp: false,
  sendXRealIp: false,
  answers: [],
  trustedProxies: [],
  underscoreNames: 0,
  dotSegments: 0,
  encodedSlashes: 0,
};
const backend = (backendId: string): BackendObject => ({
  clusterId: "app",
  backendId,
  address: { ip: "127.0.0.1", port: 1026 },
  weight: 100,
  stickyId: null,
  backup: false,
});

/** A proxy that writes down what it is told, and refuses backends named "bad". */
class Target implements ReplicaTarget {
  readonly log: string[] = [];
  readonly accepting: number[] = [];

  check(change: Change): string | null {
    return change.kind === "add_backend" && change.backend.backendId === "bad" ? "a bad one" : null;
  }

  follow(): void {}

  apply(change: Change): string | null {
    const refused = this.check(change);
    if (refused !== null) return refused;
    this.log.push(change.kind);
    return null;
  }

  activate(_address: SocketAddress, fd: number): string | null {
    this.log.push("activate");
    this.accepting.push(fd);
    return null;
  }

  deactivate(): readonly number[] {
    this.log.push("deactivate");
    return this.accepting.splice(0);
  }
}

/** A flat block of these changes, with the hash a state has after them and all earlier ones. */
function block(mirror: StateMirror, revision: number, ...changes: Change[]): Uint8Array {
  const writer = new ChangeWriter();
  for (const change of changes) {
    writer.change(change);
    mirror.apply(change, writer.bytes, writer.changeStart, writer.identityEnd, writer.hashedEnd);
  }
  return writer.finish(revision, mirror.hashLow, mirror.hashHigh).slice();
}

test("decisions 13: a replica that follows a state has its hash", () => {
  const main = new StateMirror();
  const target = new Target();
  const replica = new Replica(target);
  replica.hold(address, openSync("/dev/null", "r"));
  const state = block(main, 3, { kind: "add_http_listener", listener }, { kind: "activate_http_listener", address });
  assert.deepEqual(replica.replay(state), []);
  assert.deepEqual(target.log, ["add_http_listener", "activate"]);
  const blocks = Buffer.concat([
    block(main, 4, { kind: "add_backend", backend: backend("a") }),
    block(main, 5, { kind: "deactivate_http_listener", address }),
  ]);
  assert.deepEqual(replica.follow(blocks), []);
  assert.equal(replica.mirror.hashLow, main.hashLow);
  assert.equal(replica.mirror.hashHigh, main.hashHigh);
});

test("a refused block is named by its revision, the others are applied", () => {
  const main = new StateMirror();
  const target = new Target();
  const replica = new Replica(target);
  const blocks = Buffer.concat([
    block(main, 1, { kind: "add_backend", backend: backend("a") }),
    block(main, 2, { kind: "add_backend", backend: backend("bad") }),
    block(main, 3, { kind: "add_backend", backend: backend("c") }),
  ]);
  assert.deepEqual(replica.follow(blocks), [{ revision: 2, reason: "a bad one" }]);
  assert.deepEqual(target.log, ["add_backend", "add_backend"]);
  assert.notEqual(replica.mirror.hashLow, main.hashLow);
});

test("at start what is refused is left out and reported, the rest serves", () => {
  const target = new Target();
  const replica = new Replica(target);
  const changes: Change[] = ["a", "bad", "c"].map((id) => ({ kind: "add_backend", backend: backend(id) }));
  const refusals = replica.replay(block(new StateMirror(), 9, ...changes));
  assert.deepEqual(refusals, [{ revision: 9, reason: "add_backend: a bad one" }]);
  assert.deepEqual(target.log, ["add_backend", "add_backend"]);
});

test("decisions 12: a block of several changes of which one is refused leaves nothing behind", () => {
  const main = new StateMirror();
  const target = new Target();
  const replica = new Replica(target);
  assert.deepEqual(replica.follow(block(main, 1, { kind: "add_backend", backend: backend("a") })), []);
  const { hashLow, hashHigh } = replica.mirror;
  const other = { ...backend("a"), weight: 7 };
  const set = block(
    main,
    2,
    { kind: "add_cluster", cluster: clusterOf("app") },
    { kind: "add_backend", backend: other },
    { kind: "remove_backend", clusterId: "app", backendId: "a", address: other.address },
    { kind: "add_backend", backend: backend("bad") },
  );
  assert.deepEqual(replica.follow(set), [{ revision: 2, reason: "a bad one" }]);
  assert.deepEqual(target.log, ["add_backend"]);
  assert.deepEqual([replica.mirror.hashLow, replica.mirror.hashHigh], [hashLow, hashHigh]);
  assert.deepEqual(replica.hashes(null), []);
});

test("an activation without a socket is refused", () => {
  const replica = new Replica(new Target());
  const refusals = replica.follow(block(new StateMirror(), 1, { kind: "activate_http_listener", address }));
  assert.deepEqual(refusals, [{ revision: 1, reason: "main handed over no socket for 127.0.0.1:8080" }]);
});

test("broken bytes are refused, not thrown", () => {
  const replica = new Replica(new Target());
  const good = block(new StateMirror(), 1, { kind: "add_backend", backend: backend("a") });
  const broken = good.slice();
  broken[36] = 0xff;
  assert.equal(replica.follow(broken).length, 1);
  assert.deepEqual(replica.follow(good.subarray(0, 20)), []);
  assert.equal(replica.replay(good.subarray(0, 40)).length, 1);
});

test("HTTPS: frontends and certificates wait for their listener, the socket goes to the protocol that is activated", () => {
  const main = new StateMirror();
  const secured: boolean[] = [];
  const target = new (class extends Target {
    override activate(at: SocketAddress, fd: number, secure?: boolean): string | null {
      secured.push(secure === true);
      return super.activate(at, fd);
    }
  })();
  const replica = new Replica(target);
  const secureListener = { ...listener, tls: TLS, http2: HTTP2, hsts: null, clientAuth: null };
  const certificate: Change = { kind: "remove_certificate", fingerprint: "00", address };
  replica.hold(address, openSync("/dev/null", "r"));
  const refusals = replica.replay(
    block(
      main,
      1,
      certificate,
      { kind: "add_http_listener", listener },
      { kind: "add_https_listener", listener: secureListener },
      certificate,
      { kind: "activate_https_listener", address },
    ),
  );
  assert.deepEqual(refusals, []);
  assert.deepEqual(target.log, ["add_http_listener", "add_https_listener", "remove_certificate", "activate"]);
  replica.borrow(address, openSync("/dev/null", "r"), 1);
  replica.giveBack(address, 1);
  assert.deepEqual(secured, [true, true, true]);
  replica.hold(address, openSync("/dev/null", "r"));
  const swap = block(
    main,
    2,
    { kind: "deactivate_https_listener", address },
    { kind: "activate_http_listener", address },
    { kind: "remove_https_listener", address },
    certificate,
  );
  assert.deepEqual(replica.follow(swap), []);
  assert.deepEqual(secured, [true, true, true, false]);
  assert.equal(target.log.at(-1), "remove_https_listener");
  assert.equal(replica.mirror.hashLow, main.hashLow);
});

const TLS: TlsObject = {
  versions: [5],
  cipherList: [],
  cipherSuites: [],
  signatureAlgorithms: [],
  groupsList: [],
  alpnProtocols: ["http/1.1"],
  sendTls13Tickets: 0,
  strictSniBinding: true,
  disableHttp11: false,
};
const HTTP2 = {} as Http2Object;

test("decisions 26: a borrowed socket is accepted on until it is given back, the own one stays", () => {
  const main = new StateMirror();
  const target = new Target();
  const replica = new Replica(target);
  const own = openSync("/dev/null", "r");
  const borrowed = openSync("/dev/null", "r");
  replica.hold(address, own);
  replica.replay(block(main, 1, { kind: "add_http_listener", listener }, { kind: "activate_http_listener", address }));
  replica.borrow(address, borrowed, 1);
  assert.deepEqual(target.accepting, [own, borrowed]);
  replica.giveBack(address, 0);
  assert.deepEqual(target.accepting, [own, borrowed]);
  replica.giveBack(address, 1);
  assert.deepEqual(target.accepting, [own]);
  assert.throws(() => fstatSync(borrowed), { code: "EBADF" });
  replica.borrow(address, openSync("/dev/null", "r"), 1);
  assert.deepEqual(replica.follow(block(main, 2, { kind: "deactivate_http_listener", address })), []);
  assert.deepEqual(target.accepting, []);
  replica.giveBack(address, 1);
  assert.throws(() => fstatSync(own), { code: "EBADF" });
});
