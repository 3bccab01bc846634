// Hostile backends: well-formed requests are answered with generated and mutated bytes, and the client's view is compared
// with the strict reading of these bytes. A valid answer arrives as it is (or as a 502 where it is beyond our limits); any
// other is a 502 or is visibly cut; there is never a second answer, and nobody else sees a byte of it.

import { cuts } from "./mutate.ts";
import { Random } from "./random.ts";
import { type ResponseReading, readRequests, readResponse } from "./strict.ts";
import { type BackendLink, Finding, type World } from "./world.ts";

export interface ResponseCase {
  readonly mode: "response";
  /** One whose routes lead to the backend. */
  readonly listener: "open" | "edited";
  /** Sent at once, on one connection; the path of each ends with its number. */
  readonly requests: readonly string[];
  /** What the backend sends for each. */
  readonly answers: readonly string[];
  /** How the backend ends its connections. */
  readonly end: "fin" | "reset";
  readonly seed: number;
}

interface View {
  readonly finals: readonly { readonly status: number; readonly body: string; readonly local: boolean }[];
  /** What was there of an answer that never ended: its status, its body so far. */
  readonly cut: { readonly status: number; readonly body: string } | null;
}

export function runResponseCase(world: World, input: ResponseCase): void {
  const random = new Random(input.seed);
  const whole = execute(world, input, random, false);
  check(input, whole);
  const cut = execute(world, input, random, true);
  check(input, cut);
}

function execute(world: World, input: ResponseCase, random: Random, isCut: boolean): View {
  world.recorded = [];
  world.answersEarly = random.once(6);
  const used = new Set<BackendLink>();
  world.behaviour = (link, request) => {
    used.add(link);
    const text = input.answers[Number(request.target.slice(3))] ?? "";
    // Bytes behind an answer come with its last one: once the connection serves somebody else, no proxy can tell.
    const { end, at } = readResponse(text, 0, request.method, true, false);
    const places = isCut ? cuts(random, text.length).filter((place) => end !== "complete" || place < at) : [];
    if (end !== "complete" || at < text.length) link.spoiled = true;
    let from = 0;
    for (const to of [...places, text.length]) {
      const piece = text.slice(from, to);
      link.plan.push(() => link.socket.send(piece));
      from = to;
    }
    if (random.once(2)) link.plan.push(() => endOf(link, input));
  };
  const client = world.connect(input.listener);
  client.send(input.requests.join(""));
  if (random.once(2)) world.pump();
  world.sendWitness();
  world.pump();
  world.checkWitness();
  // What still waits for an answer gets its end now.
  for (let i = 0; i <= input.requests.length && !client.ended && isWaiting(client.received, input); i++) {
    for (const link of used) link.plan.push(() => endOf(link, input));
    used.clear();
    world.pump();
  }
  client.finish();
  if (!world.pumpUntil(() => client.ended)) throw new Finding("hangs", "no end after both sides' ends");
  const view = observe(client.received, input, !client.reset);
  world.disconnect(client);
  world.checkRest();
  return view;
}

function endOf(link: BackendLink, input: ResponseCase): void {
  if (input.end === "fin") link.socket.finish();
  else link.socket.close();
}

function isWaiting(text: string, input: ResponseCase): boolean {
  const { finals, cut } = observe(text, input, false);
  return cut !== null || finals.length < input.requests.length;
}

function methodsOf(input: ResponseCase): string[] {
  return readRequests(input.requests.join(""), false).requests.map(({ method }) => method);
}

function observe(text: string, input: ResponseCase, ended: boolean): View {
  const methods = methodsOf(input);
  const finals: { status: number; body: string; local: boolean }[] = [];
  let at = 0;
  while (at < text.length) {
    const reading = readResponse(text, at, methods[finals.length] ?? "?", ended, true);
    if (reading.end === "refused")
      throw new Finding("bad answer", `${reading.reason} in ${JSON.stringify(text.slice(at))}`);
    if (reading.end === "incomplete" || reading.final === null) {
      return { finals, cut: { status: reading.status, body: reading.bodySoFar } };
    }
    const local = !reading.final.fields.some((field) => field.name === "Sozu-Id") || reading.final.status === 502;
    finals.push({ status: reading.final.status, body: reading.final.body, local });
    at = reading.at;
  }
  return { finals, cut: null };
}

function check(input: ResponseCase, view: View): void {
  const methods = methodsOf(input);
  const readings = methods.map((method, index) => readResponse(input.answers[index] ?? "", 0, method, true, false));
  const fail = (kind: string, detail: string): never => {
    const seen = view.finals.map(({ status, body }) => `${status} ${body.length}`).join(", ");
    throw new Finding(
      kind,
      `${detail}; seen [${seen}]${view.cut === null ? "" : ` cut ${view.cut.status} ${view.cut.body.length}`}`,
    );
  };
  if (view.finals.length > methods.length) fail("second answer", "more answers than requests");
  view.finals.forEach((seen, index) => {
    const reading = readings[index];
    if (isGateway(seen.status) && seen.local) return;
    if (!agrees(reading, seen.status, seen.body)) fail("other answer", `${index}: ${reading.end} ${reading.reason}`);
  });
  if (view.cut === null) return;
  const reading = readings[view.finals.length];
  if (reading === undefined) fail("second answer", "a cut answer behind the last");
  if (view.cut.status !== 0 && view.cut.status !== reading.status) fail("other answer", "cut");
  if (!reading.bodySoFar.startsWith(view.cut.body)) fail("other body", "cut");
}

function isGateway(status: number): boolean {
  return status === 502 || status === 503 || status === 504;
}

/** The answer that was seen is the one that was sent, whole. */
function agrees(reading: ResponseReading, status: number, body: string): boolean {
  return (
    reading.end === "complete" && reading.final !== null && reading.status === status && reading.final.body === body
  );
}
