// The run: makes cases, runs them, shrinks what fails. Findings of one kind are shown a few times only.

import { readdirSync } from "node:fs";
import { loadCorpus } from "./corpus.ts";
import { answer, bulk, plainRequest, requestStream, upgradeAnswer, upgradeRequest } from "./grammar.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";
import { runRequestCase } from "./request-mode.ts";
import { type ResponseCase, runResponseCase } from "./response-mode.ts";
import { shrink } from "./shrink.ts";
import { runTunnelCase, type TunnelCase } from "./tunnel-mode.ts";
import { type Case, Finding, type Listener, World } from "./world.ts";

export interface FuzzOptions {
  readonly seed: number;
  readonly from: number;
  readonly iterations: number;
  readonly seconds: number;
  readonly mode: Case["mode"] | null;
}

export interface FuzzReport {
  readonly cases: number;
  /** A case is executed with its bytes whole and cut. */
  readonly executions: number;
  readonly seconds: number;
  readonly corpus: number;
  readonly findings: readonly { readonly finding: Finding; readonly input: Case; readonly index: number }[];
}

const MODES: readonly Case["mode"][] = ["request", "request", "request", "request", "response", "response", "tunnel"];
const LISTENERS: readonly Listener[] = ["open", "open", "routed", "edited"];
const FINDINGS_MAX = 5;
/** Of one kind. */
const SIMILAR_MAX = 2;
/** Descriptors that a run may gain: idle connections to the backend, and what Node opens. */
const DESCRIPTORS_SPARE = 40;

export function fuzz(options: FuzzOptions): FuzzReport {
  const corpus = loadCorpus();
  const lab = new Lab();
  const findings: { finding: Finding; input: Case; index: number }[] = [];
  const kinds = new Map<string, number>();
  const started = performance.now();
  const elapsed = (): number => (performance.now() - started) / 1000;
  const descriptors = readdirSync("/proc/self/fd").length;
  let index = options.from;
  let cases = 0;
  for (
    ;
    cases < options.iterations && elapsed() < options.seconds && findings.length < FINDINGS_MAX;
    index++, cases++
  ) {
    const input = makeCase(Random.of(options.seed, index), corpus, options.mode);
    const finding = lab.run(input);
    if (finding === null) continue;
    const known = kinds.get(finding.kind) ?? 0;
    kinds.set(finding.kind, known + 1);
    if (known >= SIMILAR_MAX) continue;
    const small = shrink(lab, input, finding);
    findings.push({ ...small, index });
  }
  const seconds = elapsed();
  lab.stop();
  const gained = readdirSync("/proc/self/fd").length - descriptors;
  if (gained > DESCRIPTORS_SPARE) {
    const input = { mode: "request", text: "", listener: "open", seed: 0 } as const;
    findings.push({ finding: new Finding("descriptors", `${gained} more than at the start`), input, index });
  }
  return { cases, executions: 2 * cases, seconds, corpus: corpus.length, findings };
}

/** Runs cases; after a finding in a new world, for the old one may be damaged. */
export class Lab {
  #world: World;

  constructor() {
    this.#world = new World();
  }

  /** Null when all is well. What the proxy throws is a finding, too. */
  run(input: Case): Finding | null {
    try {
      if (input.mode === "request") runRequestCase(this.#world, input);
      else if (input.mode === "response") runResponseCase(this.#world, input);
      else runTunnelCase(this.#world, input);
      return null;
    } catch (error) {
      this.#world.stop();
      this.#world = new World();
      if (error instanceof Finding) return error;
      return new Finding("thrown", error instanceof Error ? (error.stack ?? error.message) : String(error));
    }
  }

  stop(): void {
    this.#world.stop();
  }
}

function makeCase(random: Random, corpus: readonly string[], mode: Case["mode"] | null): Case {
  const seed = random.word();
  const chosen = mode ?? random.pick(MODES);
  if (chosen === "response") return makeResponseCase(random, seed);
  if (chosen === "tunnel") return makeTunnelCase(random, seed);
  const listener: Listener = random.once(40) ? "tight" : random.pick(LISTENERS);
  const base = corpus.length > 0 && random.once(3) ? random.pick(corpus) : requestStream(random);
  const other = corpus.length > 0 && random.once(2) ? random.pick(corpus) : requestStream(random);
  let text = random.once(2) ? mutate(random, base, other) : base;
  if (random.once(4)) text += requestStream(random);
  if (listener === "tight" && random.once(2)) text = bulk(random) + text;
  return { mode: "request", text, listener, seed };
}

function makeTunnelCase(random: Random, seed: number): TunnelCase {
  const offer = upgradeRequest(random);
  const switching = upgradeAnswer(random);
  return {
    mode: "tunnel",
    request: random.once(4) ? mutate(random, offer, "") : offer,
    behind: random.once(3) ? "" : random.once(2) ? requestStream(random) : random.text("ab\0\r\n", random.below(3000)),
    answer: random.once(4) ? mutate(random, switching, "") : switching,
    answerBehind: random.once(3)
      ? ""
      : random.once(2)
        ? answer(random, "GET")
        : random.text("yz\0", random.below(3000)),
    first: random.pick(["client", "backend"]),
    seed,
  };
}

function makeResponseCase(random: Random, seed: number): ResponseCase {
  const requests: string[] = [];
  const answers: string[] = [];
  for (let i = 1 + random.below(3); i > 0; i--) {
    const request = plainRequest(random, `/h/${answers.length}`);
    requests.push(request);
    const text = answer(random, request.slice(0, request.indexOf(" ")));
    answers.push(random.once(3) ? mutate(random, text, answer(random, "GET")) : text);
  }
  return {
    mode: "response",
    listener: random.once(3) ? "edited" : "open",
    requests,
    answers,
    end: random.pick(["fin", "fin", "reset"]),
    seed,
  };
}
