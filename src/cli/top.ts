// `sozu top`: a picture of the proxy, redrawn in place until `q`. It reads what `sozu metrics` reads; nothing of it runs in
// a worker. Without a terminal, and with --tick-once or --snapshot, pictures are plain text and then it ends. The
// terminal is restored whichever way this ends.

import { randomBytes } from "node:crypto";
import type { Client } from "../client/index.ts";
import type { AggregatedMetrics, MetricDetail } from "../command/gen/sozu_pb.ts";
import { request } from "../command/messages.ts";
import { METRIC_DETAILS } from "../command/words.ts";
import { openClient, sendOver } from "./control.ts";
import { CliError } from "./errors.ts";
import type { GlobalOptions } from "./options.ts";
import { picture, SORTS } from "./top/picture.ts";
import { type Sample, sampleOf, TOP_METRICS } from "./top/sample.ts";

/** What `top` was given. */
export interface TopOptions extends GlobalOptions {
  readonly refreshMs: number;
  readonly detail?: (typeof METRIC_DETAILS)[number];
  readonly leaseTtlSeconds: number;
  readonly snapshot?: number;
  readonly tickOnce?: boolean;
}

/** Shows the proxy until the user or the proxy ends. @throws CliError when the proxy refuses, the client's errors */
export async function top(options: TopOptions): Promise<void> {
  const client = await openClient(options);
  const lease = options.detail === undefined ? null : new Lease(client, options.detail, options.leaseTtlSeconds);
  try {
    await lease?.renew();
    const pictures = options.tickOnce === true ? 1 : (options.snapshot ?? (process.stdout.isTTY ? 0 : 1));
    if (pictures > 0) await printPlain(client, options.refreshMs, pictures);
    else await watch(client, options.refreshMs);
  } finally {
    await lease?.end();
    client.close();
  }
}

/** Keeps the detail that was asked for while top runs. */
class Lease {
  readonly #client: Client;
  readonly #detail: MetricDetail;
  readonly #ttlSeconds: number;
  readonly #clientId: string;
  readonly #timer: NodeJS.Timeout;

  constructor(client: Client, detail: (typeof METRIC_DETAILS)[number], ttlSeconds: number) {
    this.#client = client;
    this.#detail = METRIC_DETAILS.indexOf(detail) as MetricDetail;
    this.#ttlSeconds = ttlSeconds;
    this.#clientId = `top:${process.pid}:${randomBytes(4).toString("hex")}`;
    // What becomes of a renewal shows in the picture that follows.
    this.#timer = setInterval(() => this.renew().catch(() => undefined), Math.max(1, ttlSeconds * 500));
  }

  async renew(): Promise<void> {
    const value = { clientId: this.#clientId, detail: this.#detail, ttlSeconds: this.#ttlSeconds };
    await sendOver(this.#client, request({ case: "setMetricDetail", value }), null);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    const value = { clientId: this.#clientId, clear: true };
    // The proxy may be gone; the lease then ends by itself.
    await sendOver(this.#client, request({ case: "setMetricDetail", value }), null).catch(() => undefined);
  }
}

async function takeSample(client: Client): Promise<Sample> {
  const common = { list: false, metricNames: [...TOP_METRICS], microseconds: true };
  const byWorker = await query(client, { ...common, workers: true, noClusters: true });
  const merged = await query(client, { ...common, workers: false, noClusters: false });
  return sampleOf(byWorker, merged, performance.now());
}

async function query(
  client: Client,
  value: { list: boolean; metricNames: string[]; microseconds: boolean; workers: boolean; noClusters: boolean },
): Promise<AggregatedMetrics> {
  const { content } = await sendOver(client, request({ case: "queryMetrics", value }), null);
  if (content?.contentType.case === "metrics") return content.contentType.value;
  throw new CliError("the proxy answered without metrics");
}

async function printPlain(client: Client, refreshMs: number, count: number): Promise<void> {
  // `sozu top | head` is no error.
  process.stdout.on("error", () => process.exit(0));
  let before = await takeSample(client);
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setTimeout(resolve, refreshMs));
    const now = await takeSample(client);
    const view = { width: 200, height: Number.POSITIVE_INFINITY, sort: SORTS[0], paused: false, time: timeOfDay() };
    process.stdout.write(`${picture(before, now, view).join("\n")}\n`);
    before = now;
  }
}

/** Redraws in place; resolves when the user wants to leave. */
async function watch(client: Client, refreshMs: number): Promise<void> {
  const screen = new Screen();
  try {
    let before = await takeSample(client);
    let now = before;
    for (;;) {
      const key = await screen.keyOr(refreshMs);
      if (key === "quit") return;
      if (key === null && !screen.paused) [before, now] = [now, await takeSample(client)];
      screen.draw((room) => picture(before, now, { ...room, time: timeOfDay() }));
    }
  } finally {
    screen.leave();
  }
}

/** The terminal: an alternate screen in raw mode, left as it was found. */
class Screen {
  paused: boolean;
  #sort: number;
  #onKey: (key: string) => void;
  readonly #onData: (data: Buffer) => void;
  readonly #onExit: () => void;

  constructor() {
    this.paused = false;
    this.#sort = 0;
    this.#onKey = () => undefined;
    this.#onData = (data) => this.#onKey(data.toString());
    this.#onExit = () => this.leave();
    process.on("exit", this.#onExit);
    process.stdout.write("\x1b[?1049h\x1b[?25l");
    if (process.stdin.isTTY) process.stdin.setRawMode(true);
    process.stdin.on("data", this.#onData).resume();
  }

  /** What was pressed, or null when nothing was for so long. */
  keyOr(waitMs: number): Promise<"quit" | "other" | null> {
    return new Promise((resolve) => {
      const stop = (): void => this.#onKey("q");
      const done = (result: "quit" | "other" | null): void => {
        clearTimeout(timer);
        this.#onKey = () => undefined;
        process.off("SIGTERM", stop).off("SIGINT", stop);
        resolve(result);
      };
      const timer = setTimeout(() => done(null), waitMs);
      process.on("SIGTERM", stop).on("SIGINT", stop);
      this.#onKey = (key) => done(this.#press(key));
    });
  }

  #press(key: string): "quit" | "other" {
    if (key === "q" || key === "Q" || key === "\x03") return "quit";
    if (key === "p") this.paused = !this.paused;
    if (key === "s") this.#sort = (this.#sort + 1) % SORTS.length;
    if (key === "S") this.#sort = (this.#sort + SORTS.length - 1) % SORTS.length;
    return "other";
  }

  draw(
    paint: (room: { width: number; height: number; sort: (typeof SORTS)[number]; paused: boolean }) => string[],
  ): void {
    const { columns, rows } = process.stdout;
    // A terminal that does not know its size says 0.
    const lines = paint({
      width: columns || 80,
      height: (rows || 24) - 1,
      sort: SORTS[this.#sort]!,
      paused: this.paused,
    });
    // Each line is cleared to its end and the rest below: no flicker, nothing left of the picture before.
    process.stdout.write(`\x1b[?2026h\x1b[H${lines.map((line) => `${line}\x1b[K\r\n`).join("")}\x1b[J\x1b[?2026l`);
  }

  leave(): void {
    process.off("exit", this.#onExit);
    process.stdin.off("data", this.#onData).pause();
    if (process.stdin.isTTY) process.stdin.setRawMode(false);
    process.stdout.write("\x1b[?25h\x1b[?1049l");
  }
}

function timeOfDay(): string {
  return new Date().toTimeString().slice(0, 8);
}
