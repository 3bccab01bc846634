// Lists of networks: IPv4, IPv6, mapped addresses, and what is refused.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Networks, parseNetworks } from "../../src/policies/networks.ts";

function networks(...texts: string[]): Networks {
  const parsed = parseNetworks(texts);
  assert.ok(parsed instanceof Networks, JSON.stringify(parsed));
  return parsed;
}

function v4(text: string): Int32Array {
  const [a, b, c, d] = text.split(".").map(Number) as [number, number, number, number];
  return Int32Array.of(4, 1234, (a << 24) | (b << 16) | (c << 8) | d, 0, 0, 0);
}

const v6 = (...words: number[]): Int32Array => Int32Array.of(6, 1234, ...words);

test("a block holds its addresses and no others", () => {
  const list = networks("10.0.0.0/8", "192.0.2.7", "172.16.0.0/12");
  for (const inside of ["10.0.0.0", "10.255.255.255", "192.0.2.7", "172.31.255.255"])
    assert.ok(list.contains(v4(inside)));
  for (const outside of ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "172.32.0.0"]) {
    assert.equal(list.contains(v4(outside)), false, outside);
  }
  assert.equal(networks("0.0.0.0/0").contains(v4("203.0.113.9")), true);
  assert.equal(networks().contains(v4("10.0.0.1")), false);
});

test("IPv6 blocks, and the two families apart", () => {
  const list = networks("2001:db8::/32", "fe80::1");
  assert.ok(list.contains(v6(0x20010db8, 1, 2, 3)));
  assert.ok(list.contains(v6(0xfe800000 | 0, 0, 0, 1)));
  assert.equal(list.contains(v6(0x20010db9, 0, 0, 0)), false);
  assert.equal(list.contains(v6(0xfe800000 | 0, 0, 0, 2)), false);
  assert.equal(networks("::/0").contains(v4("10.0.0.1")), false);
  assert.equal(networks("0.0.0.0/0").contains(v6(0, 0, 0, 0)), false);
});

test("an IPv4-mapped network is the IPv4 network", () => {
  const list = networks("::ffff:10.0.0.0/104");
  assert.ok(list.contains(v4("10.9.9.9")));
  assert.equal(list.contains(v4("11.0.0.0")), false);
});

test("what is no network is refused with the reason", () => {
  const reasonOf = (text: string): unknown => parseNetworks([text]);
  const shape = "is not a network such as 10.0.0.0/8 or 2001:db8::/32";
  for (const text of [
    "",
    "10.0.0",
    "010.0.0.1",
    "10.0.0.256",
    "a.b.c.d",
    "1::2::3",
    "[::1]",
    "::1%eth0",
    "10.0.0.0/",
    " ::1",
  ]) {
    assert.deepEqual(reasonOf(text), { reason: `${JSON.stringify(text)} ${shape}` });
  }
  assert.deepEqual(reasonOf("10.0.0.0/33"), { reason: '"10.0.0.0/33" has a length above 32' });
  assert.deepEqual(reasonOf("::/129"), { reason: '"::/129" has a length above 128' });
  assert.deepEqual(reasonOf("10.1.2.3/8"), { reason: '"10.1.2.3/8" has bits set behind its first 8' });
  assert.deepEqual(parseNetworks(new Array<string>(257).fill("::1")), { reason: "there are more than 256 networks" });
});

test("a block of any length holds exactly the addresses that share its bits", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), fc.integer({ min: 0, max: 32 }), (address, peer, length) => {
      const mask = length === 0 ? 0 : (-1 << (32 - length)) | 0;
      const block = address & mask;
      const text = [24, 16, 8, 0].map((shift) => (block >>> shift) & 255).join(".");
      assert.equal(networks(`${text}/${length}`).contains(Int32Array.of(4, 1, peer, 0, 0, 0)), (peer & mask) === block);
    }),
  );
});
