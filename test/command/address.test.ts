// Socket addresses: text, message and record say the same; canonical IPv6 is RFC 5952.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import {
  addressFromMessage,
  addressToMessage,
  canonicalIpv6,
  compareAddresses,
  formatAddress,
  parseAddress,
} from "../../src/command/address.ts";

test("parseAddress reads IPv4 and IPv6 and canonicalises", () => {
  const cases: [string, string | null][] = [
    ["127.0.0.1:80", "127.0.0.1:80"],
    ["0.0.0.0:65535", "0.0.0.0:65535"],
    ["[::1]:8080", "[::1]:8080"],
    ["[2001:DB8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]:80"],
    ["[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.1]:80"],
    ["[0:0:0:0:0:0:0:0]:1", "[::]:1"],
    ["127.0.0.1", null],
    ["127.0.0.1:0", null],
    ["127.0.0.1:65536", null],
    ["127.0.0.01:80", null],
    ["256.0.0.1:80", null],
    ["localhost:80", null],
    ["::1:80", null],
    ["[::1%lo]:80", null],
    ["[1::2::3]:80", null],
    ["[1:2:3:4:5:6:7:8:9]:80", null],
    ["127.0.0.1:80 ", null],
  ];
  for (const [text, expected] of cases) {
    const address = parseAddress(text);
    assert.equal(address === null ? null : formatAddress(address), expected, text);
  }
});

test("canonicalIpv6 shortens the longest run of zeros, the first of equals, never one group", () => {
  assert.equal(canonicalIpv6("1:0:0:2:0:0:0:3"), "1:0:0:2::3");
  assert.equal(canonicalIpv6("1:0:0:2:3:0:0:4"), "1::2:3:0:0:4");
  assert.equal(canonicalIpv6("1:0:2:3:4:5:6:7"), "1:0:2:3:4:5:6:7");
  assert.equal(canonicalIpv6("1::"), "1::");
});

test("property: every address survives message and text", () => {
  const ip = fc.oneof(
    fc.ipV4(),
    fc.ipV6().map((text) => canonicalIpv6(text)!),
  );
  fc.assert(
    fc.property(ip, fc.integer({ min: 1, max: 65535 }), (text, port) => {
      const address = { ip: text, port };
      assert.deepEqual(addressFromMessage(addressToMessage(address)), address);
      assert.deepEqual(parseAddress(formatAddress(address)), address);
      assert.equal(compareAddresses(address, address), 0);
    }),
  );
});

test("addressFromMessage says what is missing", () => {
  assert.equal(addressFromMessage(undefined), "it has no IP address");
  const message = addressToMessage({ ip: "10.0.0.1", port: 80 });
  message.port = 0;
  assert.equal(addressFromMessage(message), "the port must be from 1 to 65535, got 0");
});
