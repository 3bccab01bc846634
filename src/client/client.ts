// One connection to the command socket. Requests are sent one at a time, in order: main answers a request with any
// number of PROCESSING responses and one final one, and stock programs lose requests that arrive together. A timeout or
// a broken answer ends the connection, because nobody could tell any more which answer belongs to which request.

import { createConnection, type Socket } from "node:net";
import { toBinary } from "@bufbuild/protobuf";
import { encodeFrame, FRAME, FrameDecoder } from "../command/framing.ts";
import type { Request, Response } from "../command/gen/sozu_pb.ts";
import { RequestSchema, ResponseSchema, ResponseStatus } from "../command/gen/sozu_pb.ts";
import { CLIENT_BUFFER_BYTES, FRAME_BYTES_MAX } from "../command/limits.ts";
import { decodeMessage } from "../command/messages.ts";
import { ClientError, connectError } from "./errors.ts";

/** How to connect. */
export interface ConnectOptions {
  /** Path of the command socket. */
  readonly socketPath: string;
  /** Longest silence while an answer is due, and longest wait to connect, in ms. Default 1000; 0 is for ever. */
  readonly timeoutMs?: number;
  /** Largest message either way, in bytes. Default 2,000,000. */
  readonly maxMessageBytes?: number;
}

/** How to send one request. */
export interface SendOptions {
  /** Called with each PROCESSING response (progress, or an event of a subscription). */
  readonly onProcessing?: (response: Response) => void;
  /** As in ConnectOptions, for this request. A subscription wants 0. */
  readonly timeoutMs?: number;
}

/** Connects. Rejects with a ClientError that says what to do. */
export function connect(options: ConnectOptions): Promise<Client> {
  return new Promise((resolve, reject) => {
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const socket = createConnection({ path: options.socketPath });
    const timer = startTimer(timeoutMs, () => {
      socket.destroy();
      reject(new ClientError("TIMEOUT", String(timeoutMs)));
    });
    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(connectError(options.socketPath, error));
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(new Client(socket, timeoutMs, options.maxMessageBytes ?? FRAME_BYTES_MAX));
    });
  });
}

interface Job {
  readonly request: Request;
  readonly options: SendOptions;
  readonly resolve: (response: Response) => void;
  readonly reject: (error: ClientError) => void;
}

/** A connection to main; made by connect(). */
export class Client {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #maxMessageBytes: number;
  readonly #decoder: FrameDecoder;
  readonly #waiting: Job[];
  #current: Job | null;
  #timer: NodeJS.Timeout | undefined;
  #ended: ClientError | null;

  constructor(socket: Socket, timeoutMs: number, maxMessageBytes: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#maxMessageBytes = maxMessageBytes;
    this.#decoder = new FrameDecoder({ initialBytes: CLIENT_BUFFER_BYTES, maxBytes: maxMessageBytes });
    this.#waiting = [];
    this.#current = null;
    this.#timer = undefined;
    this.#ended = null;
    socket.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    socket.on("error", (error) => this.#end(new ClientError("CLOSED", ` (${error.message})`, error)));
    socket.on("close", () => this.#end(new ClientError("CLOSED", "")));
  }

  /** Nothing can be sent any more. */
  get isEnded(): boolean {
    return this.#ended !== null;
  }

  /**
   * Sends a request and resolves with its final answer, OK or FAILURE. Rejects with a ClientError when no answer can
   * come; after TIMEOUT, CLOSED, BAD_ANSWER or a too large answer the client is unusable and every later send()
   * rejects.
   */
  send(request: Request, options: SendOptions = {}): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) {
        reject(this.#ended);
        return;
      }
      this.#waiting.push({ request, options, resolve, reject });
      this.#next();
    });
  }

  /** Ends the connection; what is under way rejects with CLOSED. Safe to call twice. */
  close(): void {
    this.#end(new ClientError("CLOSED", " (by this side)"));
  }

  #next(): void {
    while (this.#current === null) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      const frame = this.#encode(job);
      if (frame === null) continue;
      this.#current = job;
      this.#socket.write(frame);
      this.#watch(job);
    }
  }

  /** A request that cannot be sent fails alone. */
  #encode(job: Job): Uint8Array | null {
    try {
      const frame = encodeFrame(toBinary(RequestSchema, job.request), this.#maxMessageBytes);
      if (frame === null) job.reject(new ClientError("MESSAGE_TOO_LARGE", String(this.#maxMessageBytes)));
      return frame;
    } catch (error) {
      // The encoder throws on a missing required field or a value out of range.
      job.reject(new ClientError("BAD_REQUEST", error instanceof Error ? error.message : String(error), error));
      return null;
    }
  }

  #receive(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
    for (;;) {
      const result = this.#decoder.next();
      if (result === FRAME.NEED_MORE) return;
      if (result === FRAME.TOO_LARGE) {
        this.#end(new ClientError("MESSAGE_TOO_LARGE", String(this.#maxMessageBytes)));
        return;
      }
      const response = result === FRAME.MESSAGE ? decodeMessage(ResponseSchema, this.#decoder.body) : null;
      const job = this.#current;
      if (response === null || job === null) {
        this.#end(new ClientError("BAD_ANSWER", job === null ? " (nothing was asked)" : ""));
        return;
      }
      this.#answer(job, response);
    }
  }

  #answer(job: Job, response: Response): void {
    if (response.status === ResponseStatus.PROCESSING) {
      this.#watch(job);
      job.options.onProcessing?.(response);
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#current = null;
    job.resolve(response);
    this.#next();
  }

  #watch(job: Job): void {
    clearTimeout(this.#timer);
    const timeoutMs = job.options.timeoutMs ?? this.#timeoutMs;
    const timer = startTimer(timeoutMs, () => {
      // On a busy machine this process may have slept longer than the answer took, and timers come first in a turn.
      setImmediate(() => {
        if (this.#timer === timer) this.#end(new ClientError("TIMEOUT", String(timeoutMs)));
      });
    });
    this.#timer = timer;
  }

  #end(error: ClientError): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    const jobs = this.#current === null ? this.#waiting.splice(0) : [this.#current, ...this.#waiting.splice(0)];
    this.#current = null;
    for (const job of jobs) job.reject(error);
  }
}

const TIMEOUT_MS = 1000;

function startTimer(timeoutMs: number, action: () => void): NodeJS.Timeout | undefined {
  return timeoutMs === 0 ? undefined : setTimeout(action, timeoutMs);
}
