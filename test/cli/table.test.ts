import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { contentJson, contentText } from "../../src/cli/display/content.ts";
import { renderTable } from "../../src/cli/display/table.ts";
import { ResponseContentSchema } from "../../src/command/gen/sozu_pb.ts";

test("a table is as wide as its widest cells, counted in characters", () => {
  assert.equal(
    renderTable(
      ["id", "name"],
      [
        ["1", "ü"],
        ["22", "longer"],
      ],
    ),
    `┌────┬────────┐
│ id │ name   │
├────┼────────┤
│ 1  │ ü      │
├────┼────────┤
│ 22 │ longer │
└────┴────────┘
`,
  );
});

test("a table without rows shows its header", () => {
  assert.equal(renderTable(["a"], []), "┌───┐\n│ a │\n└───┘\n");
});

const workers = create(ResponseContentSchema, {
  contentType: {
    case: "workers",
    value: {
      vec: [
        { id: 2, pid: 20, runState: 3 },
        { id: 1, pid: 10, runState: 0 },
      ],
    },
  },
});

test("workers are shown by id with the names of their states", () => {
  const lines = contentText(workers).split("\n");
  assert.match(lines[1], /worker id │ pid │ run state/);
  assert.match(lines[3], /1 +│ 10 +│ RUNNING/);
  assert.match(lines[5], /2 +│ 20 +│ NOT_ANSWERING/);
});

test("decisions 3: JSON keeps order, names and numbers of the schema", () => {
  assert.deepEqual(JSON.parse(contentJson(workers)), {
    WORKERS: {
      vec: [
        { id: 2, pid: 20, run_state: 3 },
        { id: 1, pid: 10, run_state: 0 },
      ],
    },
  });
  assert.equal(contentJson(undefined), "{}\n");
});

test("no content says so", () => {
  assert.equal(contentText(undefined), "No content\n");
});

const address = { ip: { inner: { case: "v4" as const, value: 2130706433 } }, port: 80 };
const cluster = { clusterId: "app", stickySession: true, httpsRedirect: false, loadBalancing: 0 } as const;

/** What main and worker 0 answer; a worker that has nothing is left with an empty answer. */
function responses(main: object, worker: object) {
  const map = { main: { contentType: main }, 0: { contentType: worker } };
  return create(ResponseContentSchema, { contentType: { case: "workerResponses", value: { map: map as never } } });
}

test("hashes stand side by side, main first, with an X where they differ", () => {
  const of = (map: Record<string, bigint>) => ({ case: "clusterHashes", value: { map } });
  const text = contentText(responses(of({ a: 1n, b: 2n, ["__proto__"]: 3n }), of({ a: 1n, b: 5n })));
  assert.match(text, /│ cluster id +│ main │ worker 0 │ desynchronized │/);
  assert.match(text, /│ a +│ 1 +│ 1 +│ +│/);
  assert.match(text, /│ b +│ 2 +│ 5 +│ X +│/);
  assert.equal(contentText(responses(of({}), of({}))), "no cluster found\n");
});

test("a cluster is shown with an X for each process that has it so", () => {
  const backend = { clusterId: "app", backendId: "b", address, backup: true };
  const information = { configuration: cluster, backends: [backend] };
  const of = (vec: object[]) => ({ case: "clusters", value: { vec } });
  const text = contentText(responses(of([information]), of([{ configuration: cluster }])));
  assert.match(text, /│ app │ true +│ false +│ X +│ X +│/);
  assert.match(text, /│ b +│ 127\.0\.0\.1:80 │ X +│ X +│ +│/);
  assert.equal(contentText(responses(of([]), of([]))), "no cluster found\n");
});

test("frontends and listeners: names cannot steer a terminal", () => {
  const path = { kind: 2, value: "/a\u001b[2J" } as const;
  const frontend = { address, hostname: "x.test", path, position: 0, tags: { k: "v\u0007" } } as const;
  const list = (httpFrontends: object[]) =>
    create(ResponseContentSchema, {
      contentType: { case: "frontendList", value: { httpFrontends: httpFrontends as never } },
    });
  const text = contentText(list([frontend, { ...frontend, clusterId: "app", method: "GET" }]));
  assert.match(text, /│ Deny +│ 127\.0\.0\.1:80 │ x\.test +│ EQUALS \/a\?\[2J │ +│ PRE +│ k=v\? │/);
  assert.match(text, /│ app .*│ GET +│/);
  assert.equal(contentText(list([])), "No frontends\n");
  const listener = { address, expectProxy: false, stickyName: "S", active: true, frontTimeout: 1 };
  const rest = { backTimeout: 2, connectTimeout: 3, requestTimeout: 4 };
  const map = { "127.0.0.1:80": { ...listener, ...rest } };
  const listeners = create(ResponseContentSchema, {
    contentType: { case: "listenersList", value: { httpListeners: map } },
  });
  assert.match(contentText(listeners), /^HTTP LISTENERS\n=+\n.*activated +│ true/s);
  const counts = create(ResponseContentSchema, {
    contentType: { case: "requestCounts", value: { map: { B: 2, A: 1 } } },
  });
  assert.match(contentText(counts), /request type │ count.*A +│ 1.*B +│ 2/s);
});

test("a table of 200,000 rows is drawn", () => {
  const rows = Array.from({ length: 200_000 }, (_, i) => [String(i)]);
  assert.ok(renderTable(["id"], rows).length > 200_000);
});
