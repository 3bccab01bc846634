// Upgrades: a request that offers another protocol, an answer that takes it or does not, and any bytes behind both. Only a
// 101 that the client sees makes a tunnel, and then each side gets exactly the bytes of the other; without it the bytes
// behind the request are HTTP, and those behind the answer are nobody's.

import { cuts } from "./mutate.ts";
import { Random } from "./random.ts";
import { readRequests, readResponse } from "./strict.ts";
import { answerPlainly, type BackendLink, Finding, type World } from "./world.ts";

export interface TunnelCase {
  readonly mode: "tunnel";
  /** Head of a request, then whatever follows. */
  readonly request: string;
  readonly behind: string;
  /** Head of the answer, then whatever follows. */
  readonly answer: string;
  readonly answerBehind: string;
  /** Who ends first. */
  readonly first: "client" | "backend";
  readonly seed: number;
}

export function runTunnelCase(world: World, input: TunnelCase): void {
  const random = new Random(input.seed);
  execute(world, input, random, false);
  execute(world, input, random, true);
}

function execute(world: World, input: TunnelCase, random: Random, isCut: boolean): void {
  world.recorded = [];
  world.answersEarly = false;
  let carrier: BackendLink | null = null;
  const answer = input.answer + input.answerBehind;
  world.behaviour = (link, request, sequence) => {
    if (carrier !== null) {
      answerPlainly(link, request, sequence);
      return;
    }
    const reading = readResponse(answer, 0, request.method, true, false);
    // What is no clean answer ends the connection: a tunnel, or a case for response-mode.
    if (reading.end !== "complete" || reading.at < answer.length) link.spoiled = true;
    carrier = link;
    link.isRaw = /^HTTP\/1\.[01] 101 /.test(answer.slice(interimBytes(answer)));
    let from = 0;
    for (const to of [...(isCut ? cuts(random, answer.length) : []), answer.length]) {
      const piece = answer.slice(from, to);
      link.plan.push(() => link.socket.send(piece));
      from = to;
    }
  };
  const text = input.request + input.behind;
  const client = world.connect("open");
  let from = 0;
  for (const to of [...(isCut ? cuts(random, text.length) : []), text.length]) {
    client.send(text.slice(from, to));
    from = to;
    if (random.once(2)) world.pump();
  }
  world.sendWitness();
  world.pump();
  world.checkWitness();
  const link = carrier as BackendLink | null;
  if (input.first === "client") client.finish();
  else link?.socket.finish();
  world.pump();
  if (input.first === "client") link?.socket.finish();
  else client.finish();
  if (!world.pumpUntil(() => client.ended)) throw new Finding("hangs", "no end after both ends");
  check(input, client.received, link);
  world.disconnect(client);
  world.checkRest();
}

function check(input: TunnelCase, received: string, link: BackendLink | null): void {
  const start = interimBytes(received);
  const end = received.indexOf("\r\n\r\n", start) + 4;
  const isTunnel = received.startsWith("HTTP/1.1 101 ", start);
  const raw = link === null ? "" : link.socket.received.slice(link.consumed);
  if (!isTunnel) {
    if (raw !== "" && link?.isRaw === true)
      throw new Finding("half a tunnel", `the backend got ${JSON.stringify(raw)}`);
    const reading = readResponse(received, 0, input.request.slice(0, input.request.indexOf(" ")), true, true);
    if (reading.end === "refused") throw new Finding("bad answer", reading.reason);
    return;
  }
  const text = input.request + input.behind;
  const [request] = readRequests(text, false).requests;
  const head = request === undefined ? "" : text.slice(0, request.end);
  const offered = /^upgrade:/im.test(head) && /^connection:[^\r]*upgrade/im.test(head);
  if (!offered) throw new Finding("tunnel", "for a request that offers none");
  if (raw !== text.slice(head.length)) throw new Finding("tunnel bytes", `to the backend: ${JSON.stringify(raw)}`);
  const answer = input.answer + input.answerBehind;
  const sent = answer.slice(answer.indexOf("\r\n\r\n", interimBytes(answer)) + 4);
  if (received.slice(end) !== sent) throw new Finding("tunnel bytes", `to the client: ${JSON.stringify(received)}`);
}

/** Bytes of interim answers before the answer that counts. */
function interimBytes(text: string): number {
  let at = 0;
  while (/^HTTP\/1\.[01] 1(?!01)\d\d[ \r]/.test(text.slice(at, at + 13))) {
    const end = text.indexOf("\r\n\r\n", at);
    if (end === -1) return at;
    at = end + 4;
  }
  return at;
}
