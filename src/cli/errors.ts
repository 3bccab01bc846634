// What a verb throws when it cannot do what was asked: the cause, and what to do next. Printed in one place (main.ts).

/** Exit codes of `sozu`: 0 success, 1 the verb failed, 2 the command line was not understood. */
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** A failure for the person at the terminal. `next` is a full sentence or command, null when nothing can be advised. */
export class CliError extends Error {
  readonly next: string | null;

  constructor(cause: string, next: string | null = null) {
    super(cause);
    this.name = "CliError";
    this.next = next;
  }
}

/** A value on the command line that cannot be read: exit code 2, as for an unknown option. */
export class UsageError extends CliError {}

/** The text of any error as the CLI prints it. Foreign errors are adopted here, and only here. */
export function describeError(error: unknown): string {
  if (error instanceof Error) {
    const next = (error as { next?: unknown }).next;
    return typeof next === "string" ? `${error.message}\n  next: ${next}` : error.message;
  }
  return String(error);
}
