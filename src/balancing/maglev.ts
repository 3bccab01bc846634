// Maglev hashing: a table of 65,537 slots, a prime, which the backends fill in turns, each along a walk of its own
// (offset and skip from its hash) and as often as its weight says. A pick is a look into the table and, when that
// backend cannot be opened, a walk forward. Changes of the set move few keys beyond those that have to move.
//
// The table (128 kB) is built at the first pick after the set or a weight changed, and there is none for fewer than two
// backends. A backend in slow start takes a slice of its keys that grows with its ramp; the others walk on.

import type { Backend } from "./backend.ts";
import { mix } from "./hash.ts";
import { heaviestOf, type Policy, usable } from "./policy.ts";

/** MAGLEV. */
export class Maglev implements Policy {
  private backends: readonly Backend[];
  /** The set and the weights that the table was built for. */
  private built: readonly Backend[];
  private builtWeights: readonly number[];
  /** Indices of `built`. */
  private table: Uint16Array | Int32Array;

  constructor() {
    this.backends = [];
    this.built = [];
    this.builtWeights = [];
    this.table = EMPTY;
  }

  setBackends(backends: readonly Backend[]): void {
    this.backends = backends;
    if (backends.length < 2) {
      this.built = [];
      this.builtWeights = [];
      this.table = EMPTY;
      return;
    }
    if (this.isBuiltFor(backends)) {
      return;
    }
    this.built = backends;
    this.builtWeights = backends.map((backend) => backend.weight);
    this.table = fill(backends);
  }

  pick(nowMs: number, _random: () => number, ignoreHealth: boolean, key: number): Backend | null {
    const { backends, built, table } = this;
    const count = backends.length;
    if (table !== EMPTY) {
      let slot = (key >>> 0) % SLOTS;
      // A bound, for an outage must not make every request walk the whole table.
      for (let steps = STEPS_PER_BACKEND * count; steps > 0; steps--) {
        const backend = built[table[slot]];
        if (usable(backend, nowMs, ignoreHealth) && takes(backend, key)) {
          return backend;
        }
        slot = slot + 1 < SLOTS ? slot + 1 : 0;
      }
    }
    for (let i = 0; i < count; i++) {
      if (usable(backends[i], nowMs, ignoreHealth)) {
        return backends[i];
      }
    }
    return null;
  }

  private isBuiltFor(backends: readonly Backend[]): boolean {
    if (backends.length !== this.built.length) {
      return false;
    }
    for (let i = 0; i < backends.length; i++) {
      if (backends[i] !== this.built[i] || backends[i].weight !== this.builtWeights[i]) {
        return false;
      }
    }
    return true;
  }
}

/** Whether a backend in slow start takes this key already. */
function takes(backend: Backend, key: number): boolean {
  return backend.ramp === 1 || mix(key ^ ~backend.seed) >>> 0 < backend.ramp * 2 ** 32;
}

function fill(backends: readonly Backend[]): Uint16Array | Int32Array {
  const count = backends.length;
  const table = count < FREE_16 ? new Uint16Array(SLOTS).fill(FREE_16) : new Int32Array(SLOTS).fill(FREE_32);
  const free = count < FREE_16 ? FREE_16 : FREE_32;
  const heaviest = heaviestOf(backends);
  const at = new Int32Array(count);
  const skip = new Int32Array(count);
  const turns = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    at[i] = (mix(backends[i].seed) >>> 0) % SLOTS;
    skip[i] = ((mix(backends[i].seed ^ 0x5bd1e995) >>> 0) % (SLOTS - 1)) + 1;
  }
  for (let filled = 0; filled < SLOTS; ) {
    for (let i = 0; i < count && filled < SLOTS; i++) {
      turns[i] += backends[i].weight;
      if (turns[i] < heaviest) {
        continue;
      }
      turns[i] -= heaviest;
      let slot = at[i];
      while (table[slot] !== free) slot = slot + skip[i] < SLOTS ? slot + skip[i] : slot + skip[i] - SLOTS;
      table[slot] = i;
      at[i] = slot;
      filled++;
    }
  }
  return table;
}

const SLOTS = 65_537;
const STEPS_PER_BACKEND = 8;
const EMPTY = new Uint16Array(0);
const FREE_16 = 0xffff;
const FREE_32 = -1;
