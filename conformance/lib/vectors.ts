// Reads the vector files. They are not part of the project: a folder `shared/vectors` beside the checkout holds them.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Where the vectors are expected. */
export const VECTORS = resolve(root, "..", "shared", "vectors");

/** False: skip with a message. */
export function vectorsExist(): boolean {
  return existsSync(join(VECTORS, "README.md"));
}

/** One parsed file of a set. */
export function load<T>(set: string, file = "vectors.json"): T {
  return JSON.parse(readFileSync(join(VECTORS, set, file), "utf8")) as T;
}

/** Bytes of a vector. */
export function bytesOf(vector: { readonly base64: string }): Buffer {
  return Buffer.from(vector.base64, "base64");
}

/** The outcome of one case. */
export interface CaseResult {
  readonly id: string;
  readonly verdict: "pass" | "warn" | "fail";
  /** What was seen, in short. */
  readonly seen: string;
}

/** One set, ready to run: a case at a time, each on some lane. */
export interface VectorSet<Case> {
  readonly name: string;
  readonly cases: readonly Case[];
}
