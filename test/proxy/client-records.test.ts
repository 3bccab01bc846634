// How a client's address is written: once, and right for both families.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { Rig } from "./rig.ts";

const rig = new Rig();
after(() => rig.stop());

test("addresses are rendered with and without port, IPv6 in brackets with the longest run of zeros folded", () => {
  const { records, bytes } = rig.proxy.context;
  const cases: [number[], string, string][] = [
    [[4, 50312, 0x7f000001, 0, 0, 0], "127.0.0.1:50312", "127.0.0.1"],
    [[4, 1, 0xffffff00 | 0, 0, 0, 0], "255.255.255.0:1", "255.255.255.0"],
    [[6, 443, 0x20010db8, 0, 0, 1], "[2001:db8::1]:443", "2001:db8::1"],
    [[6, 80, 0, 0, 0, 0], "[::]:80", "::"],
    [[6, 65535, 0x00010002, 0x00030004, 0x00050006, 0x00070008], "[1:2:3:4:5:6:7:8]:65535", "1:2:3:4:5:6:7:8"],
  ];
  for (const [peer, address, ip] of cases) {
    const record = records.take();
    records.setAddress(record, Int32Array.from(peer));
    const text = (at: number, length: number): string =>
      Buffer.from(bytes.subarray(at, at + length)).toString("latin1");
    assert.equal(text(records.addressAt(record), records.addressLength(record)), address);
    assert.equal(text(records.ipAt(record), records.ipLength(record)), ip);
    records.give(record);
  }
});
