// Which certificates are said to need renewal.

import assert from "node:assert/strict";
import test from "node:test";
import { expiryNotices } from "../../src/certificates/expiry.ts";
import { certificateOf, NOW } from "./sample.ts";

const DAY = 86_400;

test("expired ones and those in their last two weeks are named, the most urgent first", () => {
  const life = { notBefore: NOW - 300 * DAY };
  const notices = expiryNotices(
    [
      certificateOf("aaaaaaaaaaaaaaaaaaaa", { ...life, notAfter: NOW + 13 * DAY }),
      certificateOf("b", { ...life, notAfter: NOW + 15 * DAY }),
      certificateOf("c", { ...life, notAfter: NOW - 3 * DAY, names: ["1.test", "2.test", "3.test", "4.test"] }),
      certificateOf("d", { ...life, notAfter: NOW + 3600 }),
    ],
    NOW,
  );
  assert.deepEqual(
    notices.map(({ text }) => text),
    [
      "certificate c (1.test, 2.test, 3.test, ...) of 127.0.0.1:8443 expired 3 days ago",
      "certificate d (a.test) of 127.0.0.1:8443 expires in 1 hour",
      "certificate aaaaaaaaaaaaaaaa (a.test) of 127.0.0.1:8443 expires in 13 days",
    ],
  );
});

test("one that lives for days is named in its last third", () => {
  const short = (left: number) => certificateOf("s", { notBefore: NOW - 6 * DAY + left, notAfter: NOW + left });
  assert.equal(expiryNotices([short(3 * DAY)], NOW).length, 0);
  assert.equal(expiryNotices([short(DAY)], NOW).length, 1);
});
