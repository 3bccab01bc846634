// The certificates of a listener (spec 8.1, 8.2): which one a name gets, which one a client gets.

import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { CertificateStore } from "../../src/certificates/store.ts";
import { KEY_ED25519, KEY_P256, KEY_P384, KEY_RSA, KEY_RSA_PSS } from "../../src/command/objects-tls.ts";
import { certificateOf, helloOf, NOW } from "./sample.ts";

const DAY = 86_400;
const EVERY = [0x0403, 0x0503, 0x0603, 0x0807, 0x0804, 0x0805, 0x0806, 0x0809, 0x0401];

/** The fingerprint that a client gets for a name; null: none. */
function served(
  store: CertificateStore,
  name: string | null,
  signatures: readonly number[] | null = EVERY,
  tls13 = true,
) {
  const choices = store.resolve(name);
  if (choices === null) return null;
  const { hello, bytes } = helloOf(signatures, tls13);
  return choices.choose(hello, bytes, hello.isTls13, NOW).object.fingerprint;
}

function storeOf(...certificates: ReturnType<typeof certificateOf>[]): CertificateStore {
  const store = new CertificateStore();
  for (const certificate of certificates) store.add(certificate);
  return store;
}

test("spec 8.2: the exact name first, then the wildcard of one label, then the default", () => {
  const store = storeOf(
    certificateOf("exact", { names: ["www.a.test"] }),
    certificateOf("wild", { names: ["*.a.test", "a.test"] }),
  );
  assert.equal(served(store, "www.a.test"), "exact");
  assert.equal(served(store, "x.a.test"), "wild");
  assert.equal(served(store, "a.test"), "wild");
  for (const name of ["y.x.a.test", "*.b.test", "test", ".a.test", "b.test", null]) {
    assert.equal(served(store, name), null, String(name));
  }
  store.add(certificateOf("default", { names: ["other.test"], isDefault: true }));
  for (const name of ["b.test", null]) {
    assert.equal(served(store, name), "default");
    assert.equal(store.resolve(name)?.isDefault, true);
  }
  assert.equal(store.resolve("other.test")?.isDefault, false);
});

test("spec 8.1: of several for a name the one that lasts longest is shown, what is left takes over", () => {
  const store = storeOf(
    certificateOf("short", { notAfter: NOW + DAY }),
    certificateOf("long", { notAfter: NOW + 9 * DAY }),
    certificateOf("middle", { notAfter: NOW + 5 * DAY }),
  );
  assert.equal(served(store, "a.test"), "long");
  assert.equal(store.remove("long")?.object.fingerprint, "long");
  assert.equal(served(store, "a.test"), "middle");
  store.remove("middle");
  assert.equal(served(store, "a.test"), "short");
  assert.equal(store.remove("none"), null);
  store.remove("short");
  assert.equal(served(store, "a.test"), null);
  assert.equal(store.size, 0);
  // `expired_at` of the request decides the order.
  const given = storeOf(
    certificateOf("a", { expiresAt: NOW + 99 * DAY }),
    certificateOf("b", { notAfter: NOW + 50 * DAY }),
  );
  assert.equal(served(given, "a.test"), "a");
});

test("one that is out of its time is shown only when there is nothing better", () => {
  const expired = certificateOf("expired", { notAfter: NOW - 1, expiresAt: NOW + 99 * DAY });
  const early = certificateOf("early", { notBefore: NOW + 1, notAfter: NOW + 99 * DAY });
  const store = storeOf(expired, early, certificateOf("valid", { keyKind: KEY_RSA }));
  assert.equal(served(store, "a.test"), "valid");
  assert.equal(served(store, "a.test", [0x0403]), "early");
  store.remove("early");
  assert.equal(served(store, "a.test", [0x0403]), "expired");
});

test("ECDSA and RSA side by side: each client gets what it can verify", () => {
  const store = storeOf(
    certificateOf("rsa", { keyKind: KEY_RSA, notAfter: NOW + 90 * DAY }),
    certificateOf("p256", { keyKind: KEY_P256 }),
    certificateOf("p384", { keyKind: KEY_P384 }),
    certificateOf("ed", { keyKind: KEY_ED25519 }),
    certificateOf("pss", { keyKind: KEY_RSA_PSS }),
  );
  assert.equal(served(store, "a.test"), "p256");
  assert.equal(served(store, "a.test", [0x0503]), "p384");
  assert.equal(served(store, "a.test", [0x0807, 0x0804]), "ed");
  assert.equal(served(store, "a.test", [0x0804]), "rsa");
  assert.equal(served(store, "a.test", [0x0809]), "pss");
  // RFC 8446 4.2.3: PKCS#1 signs no handshake of TLS 1.3, and a curve belongs to its hash.
  const rsa = storeOf(certificateOf("rsa", { keyKind: KEY_RSA }), certificateOf("p384", { keyKind: KEY_P384 }));
  assert.equal(served(rsa, "a.test", [0x0401, 0x0503]), "p384");
  assert.equal(served(rsa, "a.test", [0x0401], false), "rsa");
  assert.equal(served(rsa, "a.test", [0x0403], false), "p384");
  // A client that accepts none of them gets one all the same: its handshake says what is wrong.
  assert.equal(served(rsa, "a.test", [0x0807]), "p384");
  // RFC 5246 7.4.1.4.1: no extension, no opinion.
  assert.equal(served(rsa, "a.test", null, false), "p384");
  const { hello, bytes } = helloOf([0x0403, 0x0401], false, [0x001d]);
  assert.equal(rsa.resolve("a.test")?.choose(hello, bytes, false, NOW).object.fingerprint, "rsa");
});

test("adding what is there puts the new one in its place", () => {
  const store = storeOf(certificateOf("a"));
  const first = store.get("a");
  assert.equal(store.add(certificateOf("a", { ocspResponse: "AAEC", isDefault: true })), first);
  assert.equal(store.size, 1);
  assert.notEqual(store.get("a"), first);
  assert.equal(served(store, null), "a");
  assert.equal(store.get("b"), null);
});

test("tls.cert.min_expires_at_seconds is that of the first one to expire", () => {
  const store = new CertificateStore();
  assert.equal(store.earliestExpiry, 0);
  store.add(certificateOf("a", { notAfter: NOW + 5 }));
  store.add(certificateOf("b", { notAfter: NOW + 3 }));
  assert.equal(store.earliestExpiry, NOW + 3);
  store.remove("b");
  assert.equal(store.earliestExpiry, NOW + 5);
  store.remove("a");
  assert.equal(store.earliestExpiry, 0);
});

test("property: adding and removing in any order leaves what adding the rest alone would have made", () => {
  const one = fc.record({
    id: fc.nat(7),
    names: fc.subarray(["a.test", "*.a.test", "b.test"]),
    keyKind: fc.nat(5),
    notAfter: fc.constantFrom(NOW - 1, NOW + 1, NOW + 2),
    isDefault: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(fc.oneof(one, fc.nat(7)), { maxLength: 30 }), (steps) => {
      const store = new CertificateStore();
      const left = new Map<string, ReturnType<typeof certificateOf>>();
      for (const step of steps) {
        if (typeof step === "number") {
          store.remove(`${step}`);
          left.delete(`${step}`);
          continue;
        }
        const { id, ...rest } = step;
        const certificate = certificateOf(`${id}`, rest);
        store.add(certificate);
        left.set(`${id}`, certificate);
      }
      const fresh = storeOf(...left.values());
      assert.equal(store.size, fresh.size);
      assert.equal(store.earliestExpiry, fresh.earliestExpiry);
      for (const name of ["a.test", "x.a.test", "b.test", "c.test", null]) {
        for (const signatures of [EVERY, [0x0804], [0x0403]]) {
          assert.equal(served(store, name, signatures), served(fresh, name, signatures));
        }
      }
    }),
  );
});

test("ten thousand certificates: a lookup looks at no more of them than with ten", () => {
  const store = new CertificateStore();
  for (let i = 0; i < 10_000; i++) store.add(certificateOf(`f${i}`, { names: [`n${i}.test`, `*.n${i}.test`] }));
  assert.equal(store.resolve("n1234.test")?.list.length, 1);
  assert.equal(served(store, "x.n9999.test"), "f9999");
});
