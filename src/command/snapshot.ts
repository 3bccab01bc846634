// Whole states and batches of changes as bytes, on top of flat.ts: what main writes into the memfd of a new worker and
// sends to living ones, and how a worker follows it.

import { ChangeWriter, FLAT, type FlatResult } from "./flat.ts";
import { ChangeReader } from "./flat-reader.ts";
import type { StateMirror } from "./mirror.ts";
import type { Change } from "./objects.ts";
import type { ConfigState } from "./state.ts";

/** Encodes the whole state; the header carries its revision and hash. A fresh array. */
export function encodeState(state: ConfigState): Uint8Array {
  const writer = new ChangeWriter(65_536);
  for (const change of state.toChanges()) writer.change(change);
  return writer.finish(state.revision, state.mirror.hashLow, state.mirror.hashHigh);
}

/** Encodes the changes that brought the state to its present revision and hash. A fresh array. */
export function encodeChanges(state: ConfigState, changes: readonly Change[]): Uint8Array {
  const steps = encodingChanges(state, changes);
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** The same in steps. */
export function* encodingChanges(state: ConfigState, changes: readonly Change[]): Generator<void, Uint8Array> {
  const writer = new ChangeWriter(256 + changes.length * 128);
  for (let i = 0; i < changes.length; i++) {
    writer.change(changes[i]!);
    if (i % STEP === STEP - 1) yield;
  }
  return writer.finish(state.revision, state.mirror.hashLow, state.mirror.hashHigh);
}

/** Changes encoded between two steps: less than a millisecond. */
const STEP = 256;

/** How following a batch ended. */
export interface Followed {
  /** END: all changes were taken. CHANGE: `take` refused one. Negative: the bytes are broken there. */
  readonly result: FlatResult;
  /** The reason of the refusal, or null. */
  readonly refusal: string | null;
  readonly revision: number;
  /** True when the hash after the last change is the one main has. */
  readonly inStep: boolean;
}

/**
 * Decodes the batch or state at [from, to) and gives each change to `take`, which returns null or the reason why it
 * refuses. Stops at the first refusal. The mirror follows what was taken.
 */
export function followChanges(
  bytes: Uint8Array,
  mirror: StateMirror,
  take: (change: Change) => string | null,
  from = 0,
  to: number = bytes.length,
): Followed {
  const reader = READER;
  reader.open(bytes, from, to);
  let result: FlatResult = reader.next();
  let refusal: string | null = null;
  while (result === FLAT.CHANGE) {
    const change = reader.change!;
    refusal = take(change);
    if (refusal !== null) break;
    mirror.apply(change, bytes, reader.start, reader.identityEnd, reader.hashedEnd);
    result = reader.next();
  }
  const inStep = result === FLAT.END && mirror.hashLow === reader.hashLow && mirror.hashHigh === reader.hashHigh;
  const revision = reader.revision;
  if (to - from > KEPT_BYTES_MAX) reader.release();
  return { result, refusal, revision, inStep };
}

/** One reader for all batches: nothing between open() and the last next() can call followChanges again. */
const READER: ChangeReader = new ChangeReader();
/** A larger batch is a whole state: the memory it lies in is not kept alive until the next one. */
const KEPT_BYTES_MAX = 65_536;
