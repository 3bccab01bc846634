// Every text of every request that changes the state, filled with what does not belong there: it is refused and nothing
// has changed, or it is data, and then workers, saved states and the hash agree about it.

import assert from "node:assert/strict";
import test from "node:test";
import type { DescField, Message } from "@bufbuild/protobuf";
import { clone } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { type Request, RequestSchema } from "../../src/command/gen/sozu_pb.ts";
import { StateMirror } from "../../src/command/mirror.ts";
import type { Change } from "../../src/command/objects.ts";
import { decodeRecords, encodeRecord } from "../../src/command/records.ts";
import { encodeState, followChanges } from "../../src/command/snapshot.ts";
import { ConfigState } from "../../src/command/state.ts";
import {
  addBackend,
  addCluster,
  addFrontend,
  addListener,
  answer,
  healthCheck,
  setHealthCheck,
  updateListener,
} from "./requests.ts";

const HOSTILE = [
  "",
  "__proto__",
  "constructor",
  "x".repeat(10_240),
  "a\r\nX-Injected: 1",
  "a\r\n\r\nGET / HTTP/1.1",
  "a\0b",
  "\u007f",
  "\ud800",
  "\u2028",
  "ü",
  "🦀".repeat(3000),
  "%00%0d%0a",
  "$HOST[99999]",
  "%ROUTE%%",
  "file:///etc/passwd",
  "../../etc/passwd",
  "-1",
  '"\\',
];

/** Requests in which every text, list and map that the state knows is filled. */
const FULL: readonly Request[] = [
  addCluster("app", {
    loadBalancing: 4,
    answers: { 404: answer("404") },
    answer503: answer("503"),
    authorizedHashes: [`admin:${"0".repeat(64)}`],
    wwwAuthenticate: "Basic",
    affinity: "cookie:Sid",
    healthCheck: healthCheck({ acceptedStatuses: ["200"] }),
  }),
  addBackend("app", "b", "127.0.0.1:1", { stickyId: "one" }),
  addFrontend("a.test", "/", {
    method: "GET",
    tags: { env: "prod" },
    redirectTemplate: answer("301"),
    rewriteHost: "b.test",
    rewritePath: "/b",
    headers: [{ position: 1, key: "X-A", val: "1" }],
  }),
  addListener("0.0.0.0:80", {
    httpAnswers: { answer404: answer("404") },
    answers: { 503: answer("503") },
    sozuIdHeader: "X-Id",
    trustedProxies: ["::1/128"],
    underscoreNames: "drop",
    dotSegments: "pass",
    encodedSlashes: "refuse",
  }),
  updateListener("127.0.0.1:99", {
    httpAnswers: { answer404: answer("404") },
    answers: { 503: answer("503") },
    stickyName: "S",
    sozuIdHeader: "X-Id",
    trustedProxies: { values: ["::1/128"] },
    underscoreNames: "drop",
    dotSegments: "pass",
    encodedSlashes: "refuse",
  }),
  setHealthCheck("there", { acceptedStatuses: ["200"] }),
];

type Fields = Message & Record<string, unknown>;
/** Puts a text somewhere into a copy of a message. */
type Hole = { readonly name: string; readonly put: (copy: Fields, text: string) => void };

/** The places of texts in a message and in those that it holds. */
function holes(message: Message, desc: { readonly fields: readonly DescField[] }): Hole[] {
  const fields = message as Fields;
  return desc.fields.flatMap((field): Hole[] => {
    const { localName: at, fieldKind } = field;
    const value = fields[at];
    if (fieldKind === "scalar" && typeof value === "string" && Object.hasOwn(fields, at)) {
      return [{ name: field.name, put: (copy, text) => (copy[at] = text) }];
    }
    if (fieldKind === "map") {
      const [key] = Object.keys(value as object);
      if (key === undefined) return [];
      const set = (copy: Fields, name: string, text: string): void => {
        const property = { value: text, writable: true, enumerable: true, configurable: true };
        Object.defineProperty(copy[at], name, property);
      };
      return [
        { name: `${field.name}.${key}`, put: (copy, text) => set(copy, key, text) },
        { name: `${field.name} key`, put: (copy, text) => set(copy, text, "x") },
      ];
    }
    if (fieldKind === "list" && field.message === undefined) {
      return (value as unknown[]).length === 0 ? [] : [{ name: field.name, put: (copy, text) => (copy[at] = [text]) }];
    }
    const inner = fieldKind === "list" ? (value as Message[])[0] : (value as Message | undefined);
    if (field.message === undefined || inner === undefined) return [];
    return holes(inner, field.message).map(({ name, put }) => ({
      name: `${field.name}.${name}`,
      put: (copy, text) => put((fieldKind === "list" ? (copy[at] as Fields[])[0]! : copy[at]) as Fields, text),
    }));
  });
}

function started(): ConfigState {
  const state = new ConfigState();
  assert.ok(state.apply(addCluster("there"), "socket").ok);
  assert.ok(state.apply(addListener("127.0.0.1:99"), "socket").ok);
  return state;
}

function facts(state: ConfigState): string[] {
  return [...state.toChanges()].map((change) => JSON.stringify(change)).sort();
}

for (const full of FULL) {
  const name = full.requestType.case!;
  test(`CP-20: hostile texts in ${name} are data or refusals`, () => {
    assert.ok(started().apply(full, "socket").ok, "the request itself is good");
    const desc = reflect(RequestSchema, full).desc.oneofs[0]!.fields.find((field) => field.localName === name)!
      .message!;
    const found = holes(full.requestType.value as Message, desc);
    assert.ok(found.length >= 3, `${found.length} texts`);
    for (const hole of found) {
      for (const text of HOSTILE) {
        const copy = clone(RequestSchema, full);
        hole.put(copy.requestType.value as unknown as Fields, text);
        judge(copy, `${name}.${hole.name} = ${JSON.stringify(text.slice(0, 40))}`);
      }
    }
  });
}

function judge(one: Request, what: string): void {
  const state = started();
  const before = facts(state);
  const result = state.apply(one, "socket");
  if (!result.ok) {
    assert.deepEqual(facts(state), before, what);
    assert.doesNotMatch(result.error.message, /[\u0000-\u001f\u007f]/, what);
    assert.ok(result.error.message.length < 600, what);
    return;
  }
  const worker = new StateMirror();
  const seen: Change[] = [];
  const followed = followChanges(encodeState(state), worker, (change) => {
    seen.push(change);
    return null;
  });
  assert.ok(followed.inStep, what);
  assert.deepEqual(seen, [...state.toChanges()], what);
  const again = new ConfigState();
  const saved = state.toRequests().map((each, index) => encodeRecord(each, index));
  const { requests, broken } = decodeRecords(new TextEncoder().encode(saved.join("")));
  assert.deepEqual(broken, [], what);
  for (const each of requests) assert.ok(again.apply(each, "saved_state").ok, what);
  assert.equal(`${again.mirror.hashLow} ${again.mirror.hashHigh}`, `${worker.hashLow} ${worker.hashHigh}`, what);
}
