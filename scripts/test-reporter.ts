// Reporter of one test file: a JSON line per finished test, for scripts/run-tests.ts. Used as `--test-reporter`.

import { inspect } from "node:util";

/** What run-tests.ts reads, one object per line. */
export interface TestLine {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** Rendered error of a failed test, else "". */
  readonly error: string;
}

interface ReporterEvent {
  readonly type: string;
  readonly data: {
    readonly name: string;
    readonly skip?: string | boolean;
    readonly todo?: string | boolean;
    readonly details?: { readonly type?: string; readonly error?: Error };
  };
}

export default async function* report(source: AsyncIterable<ReporterEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    const error = data.details?.error;
    // A suite fails with its tests, which have been reported already, unless its own hooks failed.
    if (data.details?.type === "suite" && (type === "test:pass" || isSubtestFailure(error))) continue;
    if (type === "test:fail" && isSubtestFailure(error)) continue;
    const line: TestLine = { name: data.name, outcome: outcomeOf(type, data), error: error ? describe(error) : "" };
    yield `${JSON.stringify(line)}\n`;
  }
}

function outcomeOf(type: string, data: ReporterEvent["data"]): TestLine["outcome"] {
  if (data.skip !== undefined && data.skip !== false) return "skipped";
  const excused = data.todo !== undefined && data.todo !== false;
  return type === "test:pass" || excused ? "passed" : "failed";
}

function isSubtestFailure(error: Error | undefined): boolean {
  return error !== undefined && "failureType" in error && error.failureType === "subtestsFailed";
}

function describe(error: Error): string {
  const cause = error.cause ?? error;
  return cause instanceof Error ? inspect(cause, { depth: 3 }) : String(cause);
}
