// Lines of the statsd protocol (spec 12.4), packed into datagrams. Two spellings: names with dots, and tags as InfluxDB
// has them. Counters are sent as what was added since the last time, gauges when they changed, times as one line for
// each sample, or for the many of one bucket a line with a sample rate, which means the same to a server.

import { ascii } from "../../wire/http1/bytes.ts";

/** Bytes of a datagram: what passes an Ethernet without being cut. */
export const DATAGRAM_BYTES = 1432;
/** Samples of one value that are sent as lines of their own. */
const SINGLE_LINES_MAX = 2;

/** How lines begin. */
export interface LineStyle {
  readonly prefix: string;
  readonly tagged: boolean;
  /** Of this program. */
  readonly version: string;
}

/** What the lines that follow are about. */
export interface Subject {
  /** `MAIN`, `WRK-00`. */
  readonly origin: string;
  readonly clusterId: string | null;
  readonly backendId: string | null;
}

/** Packs lines into datagrams, each handed to `send` when it is full; the bytes are valid during the call. */
export class LineWriter {
  readonly #style: LineStyle;
  readonly #send: (datagram: Uint8Array) => void;
  readonly #buffer: Uint8Array;
  #used: number;
  #before: string;
  #after: string;

  constructor(style: LineStyle, send: (datagram: Uint8Array) => void) {
    this.#style = style;
    this.#send = send;
    this.#buffer = new Uint8Array(DATAGRAM_BYTES);
    this.#used = 0;
    this.#before = "";
    this.#after = "";
  }

  about({ origin, clusterId, backendId }: Subject): void {
    const { prefix, tagged, version } = this.#style;
    const cluster = clusterId === null ? "" : clean(clusterId);
    const backend = backendId === null ? "" : clean(backendId);
    if (tagged) {
      const scope = backendId !== null ? "backend." : clusterId !== null ? "cluster." : "";
      const clusterTag = clusterId === null ? "" : `,cluster_id=${cluster}`;
      const backendTag = backendId === null ? "" : `,backend_id=${backend}`;
      this.#before = `${prefix}.${scope}`;
      this.#after = `,origin=${origin},version=${version}${clusterTag}${backendTag}`;
      return;
    }
    const clusterPart = clusterId === null ? "" : `cluster.${cluster}.`;
    const backendPart = backendId === null ? "" : `backend.${backend}.`;
    this.#before = `${prefix}.${origin}.${clusterPart}${backendPart}`;
    this.#after = "";
  }

  count(name: string, added: number): void {
    this.#line(`${this.#before}${name}${this.#after}:${added}|c`);
  }

  gauge(name: string, value: number): void {
    this.#line(`${this.#before}${name}${this.#after}:${value}|g`);
  }

  /** `samples` samples of about `microseconds`. */
  time(name: string, microseconds: number, samples: number): void {
    const line = `${this.#before}${name}${this.#after}:${microseconds / 1000}|ms`;
    if (samples > SINGLE_LINES_MAX) {
      this.#line(`${line}|@${Number((1 / samples).toPrecision(6))}`);
      return;
    }
    for (let i = 0; i < samples; i++) this.#line(line);
  }

  /** Sends what waits. */
  flush(): void {
    if (this.#used > 0) this.#send(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }

  #line(text: string): void {
    const bytes = /^[\x20-\x7e]*$/.test(text) ? ascii(text) : new TextEncoder().encode(text);
    if (bytes.length > DATAGRAM_BYTES) return;
    if (this.#used + bytes.length + 1 > DATAGRAM_BYTES) this.flush();
    if (this.#used > 0) this.#buffer[this.#used++] = NEWLINE;
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }
}

const NEWLINE = 10;

/** Ids may hold what the protocol uses for itself. */
function clean(id: string): string {
  return id.replace(/[:|@#,=\s]/g, "_");
}
