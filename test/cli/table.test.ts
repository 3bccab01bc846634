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
