// A case as one word for the command line, and back.

import { Lab } from "./fuzz.ts";
import type { Case, Finding } from "./world.ts";

export function replayOf(input: Case): string {
  return Buffer.from(JSON.stringify(input)).toString("base64url");
}

/** Runs a printed case; null when nothing is wrong. */
export function runReplay(word: string): Finding | null {
  const lab = new Lab();
  const finding = lab.run(JSON.parse(Buffer.from(word, "base64url").toString()) as Case);
  lab.stop();
  return finding;
}
