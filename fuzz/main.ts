// npm run fuzz [-- --seed N] [--iterations N] [--seconds N] [--only N] [--mode request|response|tunnel|hello|tls] [--replay TEXT]
//
// Throws generated and mutated bytes at the whole proxy, from both sides, and compares what comes out with an independent
// reading of RFC 9112 (lib/strict.ts). Prints its seed first and executions per second at the end; a finding is shrunk and
// printed with what repeats it, and the exit code is 1. Default: 60 seconds, a random seed.

import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { fuzz } from "./lib/fuzz.ts";
import { runHelloCase } from "./lib/hello-mode.ts";
import { Random } from "./lib/random.ts";
import { replayOf, runReplay } from "./lib/replay.ts";
import { TlsFuzz } from "./lib/tls-mode.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    iterations: { type: "string" },
    seconds: { type: "string" },
    only: { type: "string" },
    mode: { type: "string" },
    replay: { type: "string" },
  },
});

if (values.replay !== undefined) {
  const finding = runReplay(values.replay);
  console.log(finding === null ? "no finding" : finding.message);
  process.exit(finding === null ? 0 : 1);
}

if (values.mode === "hello") process.exit(fuzzHellos());
if (values.mode === "tls") process.exit(fuzzTls());

const seed = values.seed === undefined ? randomInt(2 ** 32) : Number(values.seed);
const limit = values.iterations === undefined ? Number.POSITIVE_INFINITY : Number(values.iterations);
const seconds = values.seconds !== undefined ? Number(values.seconds) : limit === Number.POSITIVE_INFINITY ? 60 : 3600;
console.log(`seed ${seed}`);
const report = fuzz({
  seed,
  from: values.only === undefined ? 0 : Number(values.only),
  iterations: values.only === undefined ? limit : 1,
  seconds,
  mode: values.mode === "request" || values.mode === "response" || values.mode === "tunnel" ? values.mode : null,
});
for (const { finding, input, index } of report.findings) {
  console.log(`\nexecution ${index}: ${finding.message}\n${JSON.stringify(input, null, 2)}`);
  console.log(`npm run fuzz -- --replay ${replayOf(input)}`);
}
const rate = Math.round(report.executions / report.seconds);
console.log(
  `${report.cases} cases, ${report.executions} executions in ${report.seconds.toFixed(1)} s: ${rate} per second; ` +
    `${report.corpus} messages in the corpus; ${report.findings.length} findings; seed ${seed}`,
);
process.exit(report.findings.length > 0 ? 1 : 0);

/** Connections over TLS; the exit code. */
function fuzzTls(): number {
  const fuzz = new TlsFuzz();
  return inTurn("TLS connections", (random) => {
    const reason = fuzz.run(random);
    return reason === null ? null : { reason, message: new Uint8Array(0) };
  });
}

/** ClientHellos; the exit code. */
function fuzzHellos(): number {
  return inTurn("ClientHellos", runHelloCase);
}

function inTurn(
  what: string,
  run: (random: Random) => { readonly message: Uint8Array; readonly reason: string } | null,
): number {
  const seed = values.seed === undefined ? randomInt(2 ** 32) : Number(values.seed);
  const end = performance.now() + 1000 * Number(values.seconds ?? 60);
  const last =
    values.only === undefined ? Number(values.iterations ?? Number.POSITIVE_INFINITY) : Number(values.only) + 1;
  let index = Number(values.only ?? 0);
  for (; index < last && performance.now() < end; index++) {
    const found = run(Random.of(seed, index));
    if (found === null) continue;
    console.log(`${found.reason}\n${Buffer.from(found.message).toString("hex")}`);
    console.log(`npm run fuzz -- --mode ${values.mode} --seed ${seed} --only ${index}`);
    return 1;
  }
  console.log(`${index} ${what}, no finding; seed ${seed}`);
  return 0;
}
