// Hostile clients: bytes go to the proxy, and what comes out at both ends is compared with the strict reading of the bytes.
//
// What must hold (numbers as in docs/hardening.md, "The fuzzer"):
//   1. as many requests reach the backend as it answered, and each answer goes to the client that asked, in order;
//   2. what reaches the backend parses in one way (the backend reads strictly), and is the request that was sent;
//   3. a refused request closes the connection, after one answer;
//   4. nothing is thrown and nothing is left behind;
//   5. the same bytes cut differently give the same outcome.

import { cuts } from "./mutate.ts";
import type { PeerSocket } from "./peers.ts";
import { Random } from "./random.ts";
import { type Field, HEAD_ONLY, type RequestStream, readRequests, readResponse, type StrictRequest } from "./strict.ts";
import {
  answerPlainly,
  type BackendLink,
  type Behaviour,
  Finding,
  type Listener,
  plainAnswer,
  type World,
} from "./world.ts";

/** A case that can be printed and repeated. */
export interface RequestCase {
  readonly mode: "request";
  readonly text: string;
  readonly listener: Listener;
  /** Decides the cuts, the pace and the backend's style. */
  readonly seed: number;
}

interface Seen {
  readonly status: number;
  /** Number of the answer at the backend, -1 when the proxy made it. */
  readonly sequence: number;
  readonly echo: string;
  readonly fields: readonly Field[];
}

interface Outcome {
  readonly answers: readonly Seen[];
  readonly forwarded: readonly { readonly request: StrictRequest; readonly sequence: number }[];
  /** The proxy closed by itself. */
  readonly closed: boolean;
  /** An answer that never ended. */
  readonly cut: boolean;
}

const ABORTED: Outcome = { answers: [], forwarded: [], closed: true, cut: false };

/** Names that the proxy adds or writes anew. */
const OURS =
  /^(host|x-forwarded-for|forwarded|x-forwarded-proto|x-forwarded-port|x-forwarded-host|x-real-ip|x-request-id|sozu-id|te|connection|upgrade|content-length|transfer-encoding|cookie)$/i;
/** Statuses for requests that cannot be understood. */
const REFUSALS = new Set([400, 405, 408, 417, 431]);

export function runRequestCase(world: World, input: RequestCase): void {
  const expected = readRequests(input.text, false);
  const random = new Random(input.seed);
  const style = random.below(8);
  const vanishes = random.once(8);
  const endsEarly = random.once(4);
  const whole = execute(world, input, { pieces: [], random, style, vanishes, endsEarly });
  check(input, expected, whole, style);
  const pieces = cuts(random, input.text.length);
  const cut = execute(world, input, { pieces, random, style, vanishes: vanishes && random.once(2), endsEarly });
  check(input, expected, cut, style);
  if (style >= EARLY || expected.nearLimit || whole === ABORTED || cut === ABORTED) return;
  const [a, b] = [describe(whole), describe(cut)];
  if (a !== b) throw new Finding("depends on cuts", `whole: ${a}\n  cut at ${pieces.join()}: ${b}`);
}

/** Styles of the backend from this one on may answer before the request is there as a whole. */
const EARLY = 6;
/** Begins the answer early and ends it late. */
const LATE = 7;

function behaviourOf(style: number, random: Random, hasOldClient: boolean, size: number): Behaviour {
  if (style === LATE) return answerInTwoParts;
  if (style < 4 && size === 0) return answerPlainly;
  return (link, request, sequence) => {
    // A chunked answer would end the connection of an HTTP/1.0 client.
    const text =
      style === 4 && !hasOldClient ? chunkedAnswer(request, sequence, size) : plainAnswer(request, sequence, size);
    const at = 1 + random.below(text.length - 1);
    link.plan.push(
      () => link.socket.send(text.slice(0, at)),
      () => link.socket.send(text.slice(at)),
    );
  };
}

/** The head at once, the body when the request is there as a whole. */
function answerInTwoParts(link: BackendLink, request: StrictRequest, sequence: number): void {
  const text = plainAnswer(request, sequence);
  const body = text.indexOf("\r\n\r\n") + 5;
  link.socket.send(text.slice(0, body));
  if (link.answeredEarly) link.atEnd = () => link.socket.send(text.slice(body));
  else link.socket.send(text.slice(body));
}

function chunkedAnswer(request: StrictRequest, sequence: number, size: number): string {
  const head = `HTTP/1.1 200 OK\r\nX-Echo: ${request.target}\r\nX-Sequence: ${sequence}\r\nTransfer-Encoding: chunked\r\n\r\n`;
  return request.method === "HEAD"
    ? head
    : `${head}5;x=y\r\nhello\r\n${(size + 1).toString(16)}\r\n${"x".repeat(size + 1)}\r\n0\r\nX-T: a\r\n\r\n`;
}

/** What becomes of these bytes, sent in the pieces that end at `places`. Checked like any case; for tests of single inputs. */
export function outcomeOf(world: World, text: string, places: readonly number[], listener: Listener = "open"): string {
  const input: RequestCase = { mode: "request", text, listener, seed: 0 };
  const outcome = execute(world, input, {
    pieces: places,
    random: new Random(0),
    style: 0,
    vanishes: false,
    endsEarly: false,
  });
  check(input, readRequests(text, false), outcome, 0);
  return describe(outcome);
}

/** How an input is sent and answered. */
interface Run {
  /** Where the bytes are cut. */
  readonly pieces: readonly number[];
  readonly random: Random;
  readonly style: number;
  /** At its end the client is gone at once, whatever is in flight. */
  readonly vanishes: boolean;
  /** It ends its side behind the last byte, without waiting for an answer. */
  readonly endsEarly: boolean;
}

function execute(world: World, input: RequestCase, { pieces, random, style, vanishes, endsEarly }: Run): Outcome {
  world.recorded = [];
  const hasOldClient = /HTTP\/1\.0/.test(input.text);
  world.behaviour = behaviourOf(style, random, hasOldClient, input.listener === "tight" ? 150_000 : 0);
  world.answersEarly = style >= EARLY;
  const client = world.connect(input.listener);
  const isTight = input.listener === "tight";
  if (isTight) client.appetite = 500 + random.below(random.pick([4000, 40_000]));
  const witnessAt = random.below(pieces.length + 1);
  let from = 0;
  for (let i = 0; i <= pieces.length; i++) {
    const to = pieces[i] ?? input.text.length;
    if (i === witnessAt) world.sendWitness();
    client.send(input.text.slice(from, to));
    from = to;
    if (random.once(3)) world.round();
    else world.pump();
  }
  if (endsEarly) client.finishBehind();
  world.pump();
  world.checkWitness();
  world.pump();
  // Small windows are opened in the kernel's own time: there the end may come late.
  const closed = client.ended || isTight;
  if (vanishes) {
    client.appetite = 1;
    client.send(input.text);
    world.round();
    world.disconnect(client);
    world.checkRest();
    return ABORTED;
  }
  client.finish();
  if (!world.pumpUntil(() => client.ended)) throw new Finding("hangs", "no end after the client's");
  const outcome = observe(world, client, input, closed);
  world.disconnect(client);
  world.checkRest();
  return outcome;
}

/** Reads what the client got. */
function observe(world: World, client: PeerSocket, input: RequestCase, closed: boolean): Outcome {
  const { requests, method: last } = readRequests(input.text, false);
  const answers: Seen[] = [];
  const text = client.received;
  let at = 0;
  let cut = false;
  while (at < text.length) {
    const method = requests[answers.length]?.method ?? last;
    const reading = readResponse(text, at, method, true, true);
    if (reading.end === "refused")
      throw new Finding("bad answer", `${reading.reason} in ${JSON.stringify(text.slice(at))}`);
    if (reading.end === "incomplete" || reading.final === null) {
      cut = true;
      break;
    }
    const { fields, status } = reading.final;
    const of = (name: string): string => fields.find((field) => field.name === name)?.value ?? "";
    answers.push({
      status,
      sequence: of("X-Sequence") === "" ? -1 : Number(of("X-Sequence")),
      echo: of("X-Echo"),
      fields,
    });
    at = reading.at;
  }
  const forwarded = world.recorded.filter(({ request }) => !request.target.startsWith("/witness/"));
  return { answers, forwarded, closed, cut };
}

function check(input: RequestCase, expected: RequestStream, outcome: Outcome, style: number): void {
  if (outcome === ABORTED) return;
  const { answers, forwarded } = outcome;
  const fail = (kind: string, detail: string): never => {
    throw new Finding(
      kind,
      `${detail}; ${describe(outcome)}; expected ${expected.requests.length} ${expected.end} ${expected.reason}`,
    );
  };
  if (!input.text.includes("/witness/")) {
    // Everything that was forwarded is a request that was sent, in order.
    let from = 0;
    for (const { request } of forwarded) {
      const same = input.listener === "edited" ? isSameUnedited : isSame;
      while (from < expected.requests.length && !same(expected.requests[from], request)) from++;
      if (from === expected.requests.length) fail("not what was sent", JSON.stringify(request));
      if (input.listener === "edited") checkTolerance(request);
      else checkFields(expected.requests[from], request);
      from++;
    }
  }
  const relayed = answers.filter(({ sequence }) => sequence !== -1);
  if (style < EARLY) {
    if (relayed.length !== forwarded.length)
      fail("answers", `${forwarded.length} forwarded, ${relayed.length} answered`);
    relayed.forEach(({ sequence, echo }, index) => {
      if (sequence !== forwarded[index].sequence || echo !== forwarded[index].request.target)
        fail("order", String(index));
    });
    if (outcome.cut) fail("cut", "an answer without its end");
  }
  const last = answers[answers.length - 1];
  const refused = last !== undefined && last.sequence === -1 && REFUSALS.has(last.status);
  if (refused && !outcome.closed) fail("open after a refusal", String(last.status));
  if (answers.slice(0, -1).some((seen) => seen.sequence === -1 && REFUSALS.has(seen.status)))
    fail("goes on after a refusal", "");
  // A rewrite may end in what cannot be sent.
  if (expected.nearLimit || input.listener === "edited") return;
  const isMalformed = expected.end === "refused";
  if (refused && expected.end === "complete") fail("too strict", String(last.status));
  if (isMalformed && style < EARLY && !refused && !endedBefore(outcome, expected)) fail("not refused", "");
  if (answers.length > expected.requests.length + 1) fail("too many answers", "");
  if (input.listener !== "routed" && style < EARLY && forwarded.length !== expected.requests.length)
    fail("forwarded", String(forwarded.length));
}

/** A local answer to a request with a body ended the connection before the malformed part was looked at. */
function endedBefore(outcome: Outcome, expected: RequestStream): boolean {
  const last = outcome.answers[outcome.answers.length - 1];
  const local = last !== undefined && last.sequence === -1;
  const inBody = expected.partial !== null && outcome.answers.length === expected.requests.length + 1;
  return outcome.closed && local && (inBody || outcome.answers.length <= expected.requests.length);
}

function isSame(sent: StrictRequest, got: StrictRequest): boolean {
  return sent.method === got.method && sent.target === got.target && sent.host === got.host && sent.body === got.body;
}

/** The `edited` listener takes neither dot segments nor encoded slashes, and drops names with `_`. */
function checkTolerance({ target, fields, trailers }: StrictRequest): void {
  const path = target.split("?")[0];
  if (/%2f|%5c/i.test(path)) throw new Finding("encoded slash", target);
  if (/\/(\.|%2e){1,2}(\/|;|$)/i.test(path)) throw new Finding("dot segment", target);
  const odd = [...fields, ...trailers].find(({ name }) => name.includes("_"));
  if (odd !== undefined) throw new Finding("underscore", odd.name);
}

function isSameUnedited(sent: StrictRequest, got: StrictRequest): boolean {
  return sent.method === got.method && sent.body === got.body;
}

/** Every field that arrived was sent, or is one of ours; trailers stay trailers. */
function checkFields(sent: StrictRequest, got: StrictRequest): void {
  const has = (fields: readonly Field[], wanted: Field): boolean =>
    fields.some(({ name, value }) => name === wanted.name && value === wanted.value);
  for (const field of got.fields) {
    if (!OURS.test(field.name) && !has(sent.fields, field)) throw new Finding("new field", JSON.stringify(field));
  }
  for (const field of got.trailers) {
    if (!has(sent.trailers, field) || HEAD_ONLY.test(field.name))
      throw new Finding("new trailer", JSON.stringify(field));
  }
  if (
    /_/.test(
      got.fields
        .map(({ name }) => (/^(content_length|transfer_encoding|x_forwarded_for)$/i.test(name) ? name : ""))
        .join(),
    )
  ) {
    throw new Finding("shadow", "a known name spelt with _ was forwarded");
  }
}

function describe({ answers, forwarded, closed, cut }: Outcome): string {
  const seen = answers.map(({ status, sequence }) => `${status}${sequence === -1 ? " local" : ""}`).join(", ");
  const sent = forwarded.map(
    ({ request: r }) => `${r.method} ${r.host}${r.target} ${r.body.length} ${r.trailers.length}`,
  );
  return `[${seen}]${cut ? " cut" : ""}${closed ? " closed" : ""} forwarded [${sent.join(", ")}]`;
}
