// Encoding and decoding of socket addresses, against node:net's idea of what an address is.

import assert from "node:assert/strict";
import { SocketAddress as NodeAddress } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodeSockaddr,
  encodeSockaddr,
  encodeUnixSockaddr,
  formatPeer,
  SOCKADDR_BYTES_MAX,
} from "../../src/os/sockaddr.ts";

const bytes = new Uint8Array(SOCKADDR_BYTES_MAX + 8);

test("IPv4 has the kernel's layout", () => {
  assert.equal(encodeSockaddr({ ip: "192.0.2.7", port: 8080 }, bytes, 4), 16);
  assert.deepEqual(Array.from(bytes.subarray(4, 12)), [2, 0, 0x1f, 0x90, 192, 0, 2, 7]);
});

test("IPv6 has the kernel's layout", () => {
  assert.equal(encodeSockaddr({ ip: "2001:db8::ff00:42", port: 443 }, bytes, 0), 28);
  assert.deepEqual(
    Array.from(bytes.subarray(0, 28)),
    [10, 0, 1, 0xbb, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0x42, 0, 0, 0, 0],
  );
});

test("any address survives the round trip in canonical form", () => {
  const address = fc.record({
    ip: fc.oneof(fc.ipV4(), fc.ipV6()),
    port: fc.integer({ min: 0, max: 65535 }),
  });
  fc.assert(
    fc.property(address, ({ ip, port }) => {
      const length = encodeSockaddr({ ip, port }, bytes, 0);
      const decoded = decodeSockaddr(bytes, length);
      assert.ok(decoded !== null);
      assert.equal(decoded.port, port);
      const family = ip.includes(":") ? "ipv6" : "ipv4";
      const expected = new NodeAddress({ address: ip, family }).address;
      // node:net keeps the dotted tail of mapped addresses; here they are IPv4.
      assert.equal(decoded.ip, expected.startsWith("::ffff:") ? expected.slice(7) : canonical(expected));
    }),
  );
});

test("what is no address is refused", () => {
  for (const ip of ["", "localhost", "1.2.3", "1.2.3.4.5", "::1%lo", "[::1]", "1.2.3.4:80", "g::"]) {
    assert.equal(encodeSockaddr({ ip, port: 1 }, bytes, 0), -1, ip);
  }
  for (const port of [-1, 65536, 1.5, Number.NaN]) assert.equal(encodeSockaddr({ ip: "::", port }, bytes, 0), -1);
});

test("unix paths end with NUL and have a limit", () => {
  assert.equal(encodeUnixSockaddr("/a", bytes, 0), 5);
  assert.deepEqual(Array.from(bytes.subarray(0, 5)), [1, 0, 47, 97, 0]);
  assert.equal(encodeUnixSockaddr("x".repeat(107), bytes, 0), 110);
  for (const path of ["", "a\0", "x".repeat(108)]) assert.equal(encodeUnixSockaddr(path, bytes, 0), -1);
});

test("other families and short structures decode to null", () => {
  assert.equal(decodeSockaddr(new Uint8Array(110), 2), null);
  encodeSockaddr({ ip: "::1", port: 1 }, bytes, 0);
  assert.equal(decodeSockaddr(bytes, 27), null);
});

test("peers are formatted as ip:port", () => {
  assert.equal(formatPeer(Int32Array.of(4, 80, 0xff000001 | 0, 0, 0, 0)), "255.0.0.1:80");
  assert.equal(formatPeer(Int32Array.of(6, 80, 0x20010db8, 0, 0, 1)), "[2001:db8::1]:80");
  assert.equal(formatPeer(new Int32Array(6)), "unix");
});

// glibc's text differs from RFC 5952 for the deprecated ::a.b.c.d only.
function canonical(ip: string): string {
  const match = /^::(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(ip);
  if (match === null) return ip;
  const high = Number(match[1]) * 256 + Number(match[2]);
  const low = Number(match[3]) * 256 + Number(match[4]);
  if (high === 0) return low === 0 ? "::" : `::${low.toString(16)}`;
  return `::${high.toString(16)}:${low.toString(16)}`;
}
