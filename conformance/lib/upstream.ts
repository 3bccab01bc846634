// nginx's hostile backend answers: what the client must see of each.

import { type Answer, readAnswer } from "../../e2e/lib/answer.ts";
import { connectRaw } from "../../e2e/lib/client.ts";
import { answerAsOrigin, type Lane } from "./lane.ts";
import { bytesOf, type CaseResult, load } from "./vectors.ts";

/** A case of the file. */
export interface UpstreamCase {
  readonly id: string;
  readonly base64: string;
  readonly expect: string;
}

export function upstreamCases(): UpstreamCase[] {
  return load<{ cases: UpstreamCase[] }>("nginx-tests", "upstream_responses.json").cases;
}

export async function runUpstreamCase(vector: UpstreamCase, lane: Lane): Promise<CaseResult> {
  lane.backend.handler = (_request, peer) => peer.end(bytesOf(vector));
  const client = await connectRaw(lane.port);
  const answer = await client
    .send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    .then(() => client.closedByPeer(5_000))
    .then((bytes) => readAnswer(bytes, true, "GET"))
    .catch(() => null);
  client.destroy();
  lane.backend.handler = answerAsOrigin;
  const seen =
    answer === null ? "no answer" : `${answer.status}, ${answer.body.length} bytes, complete: ${answer.complete}`;
  return { id: vector.id, verdict: answer !== null && matches(vector.expect, answer) ? "pass" : "fail", seen };
}

/** The file's expectations are prose: each kind of sentence is one check. */
function matches(expect: string, answer: Answer): boolean {
  if (expect === "502") return answer.status === 502;
  if (expect === "200") return answer.status === 200 && answer.complete;
  const exact = /exactly (\S+?);?( |$)/.exec(expect);
  if (exact !== null) return answer.status === 200 && answer.complete && answer.body.toString() === exact[1];
  if (/truncated close/.test(expect)) return answer.status === 200 && !answer.complete;
  if (/200 empty/.test(expect)) return answer.status === 200 && answer.complete && answer.body.length === 0;
  if (/must not receive a last-chunk/.test(expect)) return !answer.complete;
  throw new Error(`unknown expectation: ${expect}`);
}
