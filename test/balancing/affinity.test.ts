// HRW and MAGLEV: equal keys stay together, changes of the set move no more keys than they must, weights hold.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hashText, mix } from "../../src/balancing/hash.ts";
import { backendObject, clusterOf, fail, HRW, MAGLEV, ROUND_ROBIN, seeded, shares } from "./sample-cluster.ts";

const KEYS = Array.from({ length: 4000 }, (_, at) => mix(at + 1));

function placesOf(cluster: ReturnType<typeof clusterOf>, nowMs = 0): (string | undefined)[] {
  return KEYS.map((key) => cluster.pick(nowMs, Math.random, key)?.id);
}

/** Part of the keys that moved though their backend is in both. */
function needless(before: (string | undefined)[], after: (string | undefined)[], gone: string, come = ""): number {
  return before.filter((id, at) => id !== gone && after[at] !== come && id !== after[at]).length / KEYS.length;
}

for (const [name, algorithm, tolerance] of [
  ["HRW", HRW, 0],
  ["MAGLEV", MAGLEV, 0.06],
] as const) {
  test(`${name}: a key keeps its backend, whatever was picked in between, and in every worker`, () => {
    const one = clusterOf(algorithm, [1, 2, 3, 4]);
    const places = placesOf(one);
    assert.deepEqual(placesOf(one), places);
    assert.deepEqual(placesOf(clusterOf(algorithm, [1, 2, 3, 4])), places);
  });

  test(`${name}: only the keys of a backend that goes move, to the others by weight`, () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(), (count, seed) => {
        const weights = Array.from({ length: count }, (_, at) => 50 + ((seed >> at) & 1) * 50);
        const cluster = clusterOf(algorithm, weights);
        const before = placesOf(cluster);
        const gone = seed % count;
        cluster.removeBackend(`b${gone}`, "127.0.0.1", 1000 + gone);
        assert.ok(needless(before, placesOf(cluster), `b${gone}`) <= tolerance);
      }),
      { numRuns: 25 },
    );
    const cluster = clusterOf(algorithm, [10, 20, 30, 40]);
    cluster.removeBackend("b3", "127.0.0.1", 1003);
    const found = shares(cluster, 100_000, seeded(1));
    for (const [id, share] of [
      ["b0", 16.7],
      ["b1", 33.3],
      ["b2", 50],
    ] as const) {
      assert.ok(Math.abs((found.get(id) ?? 0) - share) < 2, `${id}: ${found.get(id)}`);
    }
  });

  test(`${name}: a backend that comes takes its share and moves nothing else`, () => {
    const cluster = clusterOf(algorithm, [10, 10, 10]);
    const before = placesOf(cluster);
    cluster.addBackend(backendObject("b3", { weight: 10 }));
    const after = placesOf(cluster);
    assert.ok(needless(before, after, "", "b3") <= tolerance);
    const moved = after.filter((id) => id === "b3").length / KEYS.length;
    assert.ok(moved > 0.22 && moved < 0.28, `${moved}`);
  });

  test(`${name}: keys come back to a backend that was in back-off, and no other key moved meanwhile`, () => {
    const cluster = clusterOf(algorithm, [1, 1, 1, 1]);
    const before = placesOf(cluster);
    fail(cluster.backends[2], 0);
    const during = placesOf(cluster, 1);
    assert.equal(during.includes("b2"), false);
    assert.equal(needless(before, during, "b2"), 0);
    assert.deepEqual(placesOf(cluster, 1000), before);
  });

  test(`${name}: the order of configuration does not matter`, () => {
    const forth = clusterOf(algorithm, [1, 2, 3]);
    const back = clusterOf(algorithm, []);
    for (const at of [2, 0, 1]) back.addBackend(backendObject(`b${at}`, { weight: at + 1 }));
    const moved = needless(placesOf(forth), placesOf(back), "");
    assert.ok(moved <= tolerance, `${moved}`);
  });

  test(`${name}: backups, a single backend and nothing usable`, () => {
    const cluster = clusterOf(algorithm, [1, 1]);
    cluster.addBackend(backendObject("b2", { backup: true }));
    for (const backend of cluster.backends.slice(0, 2)) fail(backend, 0);
    assert.deepEqual([...new Set(placesOf(cluster, 1))], ["b2"]);
    fail(cluster.backends[2], 1);
    assert.deepEqual([...new Set(placesOf(cluster, 2))], [undefined]);
    cluster.removeBackend("b0", "127.0.0.1", 1000);
    cluster.removeBackend("b2", "127.0.0.1", 1002);
    assert.deepEqual([...new Set(placesOf(cluster, 5000))], ["b1"]);
  });

  test(`${name}: while nothing is healthy a key still has one backend`, () => {
    const cluster = clusterOf(algorithm, [1, 1, 1]);
    const before = placesOf(cluster);
    for (const backend of cluster.backends) backend.setVerdict(false, "");
    assert.deepEqual(placesOf(cluster), before);
    assert.equal(cluster.failOpenPicks, KEYS.length);
  });
}

test("MAGLEV: 1,000 backends get their slots; changing sticky ids rebuilds nothing that is seen", () => {
  const cluster = clusterOf(MAGLEV, new Array(1000).fill(1));
  const places = placesOf(cluster);
  assert.ok(new Set(places).size > 950);
  for (let at = 0; at < 1000; at++) cluster.addBackend(backendObject(`b${at}`, { weight: 1, stickyId: "s" }));
  assert.deepEqual(placesOf(cluster), places);
});

test("only HRW and MAGLEV want a key", () => {
  assert.deepEqual(
    [ROUND_ROBIN, 1, 2, 3, HRW, MAGLEV].map((algorithm) => clusterOf(algorithm, [1]).needsKey),
    [false, false, false, false, true, true],
  );
});

test("the hash is stable and spreads: texts that differ in one character share about half of their bits", () => {
  assert.equal(hashText(""), hashText(""));
  let bits = 0;
  for (let at = 0; at < 1000; at++) {
    let changed = hashText(`10.0.0.${at}`) ^ hashText(`10.0.1.${at}`);
    for (; changed !== 0; changed &= changed - 1) bits++;
  }
  assert.ok(Math.abs(bits / 1000 - 16) < 1, `${bits / 1000}`);
});
