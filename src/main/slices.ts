// Long work of main in pieces: between them other clients, acknowledgements and heartbeats get their turn.

/** How long main may be busy with one piece. */
const SLICE_MS = 8;

/** Runs a generator to its end, yielding to Node's loop after each slice of time; resolves with what it returns. */
export async function inSlices<T>(steps: Generator<void, T>): Promise<T> {
  for (;;) {
    const untilMs = performance.now() + SLICE_MS;
    while (performance.now() < untilMs) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
    await new Promise(setImmediate);
  }
}
