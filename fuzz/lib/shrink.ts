// Makes a finding small: parts of the bytes are left out, halves first, as long as a finding of the same kind remains.

import type { Lab } from "./fuzz.ts";
import type { Case, Finding } from "./world.ts";

const RUNS_MAX = 600;
/** A case that hangs takes long to run: smaller is not worth more than this. */
const SHRINK_MS_MAX = 8000;

export function shrink(lab: Lab, input: Case, finding: Finding): { input: Case; finding: Finding } {
  let best = { input, finding };
  let runs = 0;
  const until = performance.now() + SHRINK_MS_MAX;
  const attempt = (candidate: Case): boolean => {
    if (runs++ > RUNS_MAX || performance.now() > until) return false;
    const result = lab.run(candidate);
    if (result === null || result.kind !== finding.kind) return false;
    best = { input: candidate, finding: result };
    return true;
  };
  if (input.mode === "request") {
    shrinkText(input.text, (text) => attempt({ ...input, text }));
  } else if (input.mode === "tunnel") {
    for (const part of ["behind", "answerBehind", "request", "answer"] as const) {
      shrinkText(input[part], (text) => best.input.mode === "tunnel" && attempt({ ...best.input, [part]: text }));
    }
  } else {
    input.answers.forEach((_, index) => {
      shrinkText(best.input.mode === "response" ? best.input.answers[index] : "", (text) => {
        const current = best.input;
        if (current.mode !== "response") return false;
        return attempt({ ...current, answers: current.answers.map((answer, i) => (i === index ? text : answer)) });
      });
    });
  }
  return best;
}

function shrinkText(text: string, keeps: (text: string) => boolean): void {
  let current = text;
  for (let part = current.length >> 1; part >= 1; part >>= 1) {
    for (let at = 0; at < current.length; ) {
      const without = current.slice(0, at) + current.slice(at + part);
      if (keeps(without)) current = without;
      else at += part;
    }
  }
}
