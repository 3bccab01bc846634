// What a control plane holds for as long as it runs: a connection that comes back by itself, requests that resolve with
// what was asked for or reject with a typed error, and events as an async iterable that survives restarts of the proxy.
// A request that was under way when the connection broke is never repeated: nobody knows whether it was carried out.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { addressFromMessage, formatAddress } from "../command/address.ts";
import {
  type Event,
  type Request,
  type RequestSchema,
  type Response,
  type ResponseContent,
  ResponseStatus,
} from "../command/gen/sozu_pb.ts";
import { eventName, request as makeRequest } from "../command/messages.ts";
import { type Client, type ConnectOptions, connect as open, type SendOptions } from "./client.ts";
import { ClientError } from "./errors.ts";

/** How to connect, and whether to do so again. */
export interface ControlOptions extends ConnectOptions {
  /** Default true: later requests and event streams open a new connection when the last one has ended. */
  readonly reconnect?: boolean;
  /** Pause before an event stream tries again, in ms, doubled up to 5 s. Default 100. */
  readonly reconnectMs?: number;
}

/** A request as `{ case, value }`: `{ case: "removeCluster", value: "app" }`. */
export type RequestInput = MessageInitShape<typeof RequestSchema>["requestType"] & object;

/** What an answer holds, as `{ case, value }`; `case` undefined: nothing. */
export type Content = ResponseContent["contentType"];

/** How to send one request. */
export interface RequestOptions {
  /** Called with the text of each PROCESSING message of a request that takes long. */
  readonly onProgress?: (text: string) => void;
  /** Longest silence, in ms. Default: that of the connection; 0 is for ever. */
  readonly timeoutMs?: number;
}

/** Something that happened in the proxy. Members that do not apply are null. */
export interface SozuEvent {
  /** `BACKEND_DOWN`, ...; `RECONNECTED`: the stream was interrupted, events may be missing. */
  readonly kind: string;
  readonly clusterId: string | null;
  readonly backendId: string | null;
  /** `ip:port` */
  readonly address: string | null;
}

/** Connects. Rejects with a ClientError that says what to do. */
export async function connect(options: ControlOptions): Promise<Control> {
  return new Control(options, await open(options));
}

/** A connection to the proxy; made by connect(). */
export class Control {
  readonly #options: ControlOptions;
  readonly #reconnect: boolean;
  #client: Promise<Client>;
  readonly #streams: Set<EventStream>;
  #closed: boolean;

  constructor(options: ControlOptions, client: Client) {
    this.#options = options;
    this.#reconnect = options.reconnect ?? true;
    this.#client = Promise.resolve(client);
    this.#streams = new Set();
    this.#closed = false;
  }

  /** Sends a request and resolves with its final answer, OK or FAILURE, as it is. Rejects with a ClientError. */
  async send(request: Request, options: SendOptions = {}): Promise<Response> {
    return (await this.#connected()).send(request, options);
  }

  /**
   * Sends a request and resolves with the content of its answer.
   * Rejects with a ClientError: `REFUSED` when the proxy refuses, another code when no answer can come.
   */
  async request(input: RequestInput, options: RequestOptions = {}): Promise<Content> {
    const { onProgress, timeoutMs } = options;
    const answer = await this.send(makeRequest(input), {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(onProgress === undefined ? {} : { onProcessing: ({ message }: Response) => onProgress(message) }),
    });
    if (answer.status !== ResponseStatus.OK) throw new ClientError("REFUSED", answer.message);
    return answer.content?.contentType ?? { case: undefined };
  }

  /**
   * Events as they come, on a connection of their own. Ends when `signal` is aborted or this is closed; without
   * reconnecting it rejects when the connection ends. A reader for whom 10,000 events wait loses the connection, and
   * goes on with RECONNECTED.
   */
  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<SozuEvent> {
    const stream = new EventStream(this.#options, this.#reconnect);
    this.#streams.add(stream);
    return this.#read(stream, options.signal);
  }

  /** Ends the connection and every stream of events; what is under way rejects. Safe to call twice. */
  close(): void {
    this.#closed = true;
    for (const stream of this.#streams) stream.end();
    this.#client.then(
      (client) => client.close(),
      () => undefined,
    );
  }

  async *#read(stream: EventStream, signal: AbortSignal | undefined): AsyncIterableIterator<SozuEvent> {
    const end = (): void => stream.end();
    signal?.addEventListener("abort", end);
    if (signal?.aborted === true || this.#closed) end();
    try {
      for (let event = await stream.next(); event !== null; event = await stream.next()) yield event;
    } finally {
      signal?.removeEventListener("abort", end);
      this.#streams.delete(stream);
      stream.end();
    }
  }

  async #connected(): Promise<Client> {
    if (this.#closed) throw new ClientError("CLOSED", " (by this side)");
    const held = this.#client;
    const client = await held.catch(() => null);
    if (client !== null && !(client.isEnded && this.#reconnect)) return client;
    // Whoever comes first opens it for all.
    if (this.#client === held) this.#client = open(this.#options);
    return this.#client;
  }
}

/** Events that may wait for a reader. */
const WAITING_MAX = 10_000;
const PAUSE_MS = 100;
const PAUSE_MAX_MS = 5000;

/** One subscription, renewed for as long as it is read. */
class EventStream {
  readonly #options: ControlOptions;
  readonly #reconnect: boolean;
  readonly #waiting: SozuEvent[];
  #client: Client | null;
  #running: boolean;
  #ended: boolean;
  #error: unknown;
  #wake: () => void;
  #endPause: () => void;

  constructor(options: ControlOptions, reconnect: boolean) {
    this.#options = options;
    this.#reconnect = reconnect;
    this.#waiting = [];
    this.#client = null;
    this.#running = false;
    this.#ended = false;
    this.#error = null;
    this.#wake = () => undefined;
    this.#endPause = () => undefined;
  }

  /** null: the stream is over. */
  async next(): Promise<SozuEvent | null> {
    for (;;) {
      const event = this.#waiting.shift();
      if (event !== undefined) return event;
      if (this.#error !== null) throw this.#error;
      if (this.#ended) return null;
      if (!this.#running) this.#start();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  end(): void {
    this.#ended = true;
    this.#client?.close();
    this.#endPause();
    this.#wake();
  }

  #start(): void {
    this.#running = true;
    this.#run().catch((error: unknown) => {
      if (!this.#ended) this.#error = error;
      this.#wake();
    });
  }

  async #run(): Promise<void> {
    const leastMs = this.#options.reconnectMs ?? PAUSE_MS;
    let pauseMs = leastMs;
    const onOpen = (): void => {
      pauseMs = leastMs;
    };
    for (let interrupted = false; !this.#ended; interrupted = true) {
      try {
        // A reader that is so far behind catches up first.
        if (this.#waiting.length < WAITING_MAX) await this.#subscribe(interrupted, onOpen);
      } catch (error) {
        if (!this.#reconnect || (error instanceof ClientError && error.code === "REFUSED")) throw error;
      }
      if (this.#ended) return;
      await this.#pause(pauseMs);
      pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS);
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Until the connection ends. `onOpen`: it is there. */
  async #subscribe(interrupted: boolean, onOpen: () => void): Promise<void> {
    const client = await open(this.#options);
    onOpen();
    if (this.#ended) {
      client.close();
      return;
    }
    this.#client = client;
    if (interrupted) this.#push({ kind: "RECONNECTED", clusterId: null, backendId: null, address: null });
    const onProcessing = ({ content }: Response): void => {
      if (content?.contentType.case === "event") this.#push(toEvent(content.contentType.value));
      // The rest would only be told to somebody who is not listening.
      if (this.#waiting.length >= WAITING_MAX) client.close();
    };
    const subscription = makeRequest({ case: "subscribeEvents", value: {} });
    try {
      const answer = await client.send(subscription, { onProcessing, timeoutMs: 0 });
      throw new ClientError("REFUSED", answer.message);
    } catch (error) {
      if (!this.#reconnect || !(error instanceof ClientError) || error.code !== "CLOSED") throw error;
    } finally {
      client.close();
    }
  }

  #push(event: SozuEvent): void {
    this.#waiting.push(event);
    this.#wake();
  }
}

function toEvent({ kind, clusterId, backendId, address }: Event): SozuEvent {
  const place = address === undefined ? "" : addressFromMessage(address);
  return {
    kind: eventName(kind),
    clusterId: clusterId === "" ? null : clusterId,
    backendId: backendId === "" ? null : backendId,
    address: typeof place === "string" ? null : formatAddress(place),
  };
}
