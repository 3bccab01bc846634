// Requests as bytes: each kind has the tag of the protocol (spec 4.3), survives decoding and encoding unchanged, and two
// are written out byte by byte.

import assert from "node:assert/strict";
import test from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import type { Request } from "../../src/command/gen/sozu_pb.ts";
import { RequestSchema, TlsVersion } from "../../src/command/gen/sozu_pb.ts";
import { decodeMessage, request } from "../../src/command/messages.ts";
import {
  addHttpsFrontend,
  addHttpsListener,
  address,
  addTcpListener,
  addUdpListener,
  onOther,
  removeHttpsFrontend,
  streamFrontend,
  updateHttpsListener,
  updateTcpListener,
  updateUdpListener,
} from "./requests.ts";

const AT = "127.0.0.1:80";
const pair = { certificate: "c", certificateChain: ["d"], key: "k", versions: [TlsVersion.TLS_V1_3], names: ["n"] };

const KINDS: readonly (readonly [tag: number, one: Request])[] = [
  [17, addHttpsFrontend("a.test", "/", { hsts: { enabled: true, maxAge: 0 } })],
  [18, removeHttpsFrontend("a.test")],
  [19, request({ case: "addCertificate", value: { address: address(AT), certificate: pair, expiredAt: -1n } })],
  [
    20,
    request({ case: "replaceCertificate", value: { address: address(AT), newCertificate: pair, oldFingerprint: "a" } }),
  ],
  [21, request({ case: "removeCertificate", value: { address: address(AT), fingerprint: "ab" } })],
  [22, streamFrontend("addTcpFrontend", "a", AT, { k: "v" })],
  [23, streamFrontend("removeTcpFrontend", "a", AT)],
  [27, addHttpsListener(AT, { versions: [4, 5], alpnProtocols: ["h2"], hsts: { enabled: false } })],
  [28, addTcpListener(AT, { expectProxy: true })],
  [29, onOther("removeListener", 1, AT)],
  [30, onOther("activateListener", 2, AT)],
  [31, onOther("deactivateListener", 3, AT)],
  [44, request({ case: "queryCertificatesFromTheState", value: { domain: "a.test" } })],
  [48, updateHttpsListener(AT, { alpnProtocols: { values: [] }, strictSniBinding: false })],
  [49, updateTcpListener(AT, { connectTimeout: 1 })],
  [56, addUdpListener("[::1]:53", { maxFlows: 7 })],
  [57, updateUdpListener(AT, { maxRxDatagramSize: 9 })],
  [58, streamFrontend("addUdpFrontend", "a", AT)],
  [59, streamFrontend("removeUdpFrontend", "a", AT)],
];

test("every kind has its tag and comes back byte for byte", () => {
  for (const [tag, one] of KINDS) {
    const bytes = toBinary(RequestSchema, one);
    const name = String(one.requestType.case);
    const key = (tag << 3) | 2;
    const start = key < 128 ? [key] : [(key & 127) | 128, key >> 7];
    assert.deepEqual([...bytes.subarray(0, start.length)], start, name);
    const read = decodeMessage(RequestSchema, bytes);
    assert.ok(read !== null, name);
    assert.deepEqual(toBinary(RequestSchema, read), bytes, name);
  }
});

test("RemoveListener and AddTcpFrontend byte by byte", () => {
  const hex = (one: Request): string => Buffer.from(toBinary(RequestSchema, one)).toString("hex");
  // 127.0.0.1:80: ip { v4 fixed32 0x7f000001 little-endian }, port 80.
  const where = "0a09" + "0a05" + "0d0100007f" + "1050";
  assert.equal(hex(onOther("removeListener", 2, AT)), `ea01${"0d"}${where}${"1002"}`);
  const tags = "1a06" + "0a016b" + "120176";
  assert.equal(
    hex(streamFrontend("addTcpFrontend", "a", AT, { k: "v" })),
    `b201${"16"}0a0161${where.replace("0a09", "1209")}${tags}`,
  );
});
