// One client of the command socket: frames in, answers out, one request at a time in the order they came (spec 4.4).
// While a request is worked on nothing more is read, and the next one waits until the answer of the last has left, so a
// client can make main hold at most one frame and one answer (CP-05). Whatever bytes come: an answer or a close, never
// an exception.

import type { Socket } from "node:net";
import { commandError } from "../command/errors.ts";
import { FRAME, FrameDecoder } from "../command/framing.ts";
import type { Request, Response } from "../command/gen/sozu_pb.ts";
import { RequestSchema, ResponseSchema } from "../command/gen/sozu_pb.ts";
import { type ReadRequest, readingRequest } from "../command/large-request.ts";
import { decodeMessage, encodeMessage, failureResponse, processingResponse } from "../command/messages.ts";
import { missingField } from "../command/required.ts";
import type { Subscriber } from "./events.ts";
import { inSlices } from "./slices.ts";

/** Stock clients give up after a second of silence (decisions 6). */
const PROCESSING_INTERVAL_MS = 500;
/** A client that does not take its answer for this long is dropped. */
const DRAIN_TIMEOUT_MS = 10_000;

/** A larger request is decoded in slices. */
const AT_ONCE_BYTES_MAX = 65_536;

/** Sets the text of the PROCESSING messages that are sent while a request is carried out. False: the client has left. */
export type Progress = (text: string) => boolean;

/** Answers one request. */
export type RequestHandler = (request: Request, progress: Progress) => Promise<Response>;

/** Bytes of events that may wait for a client to read. */
const EVENT_BYTES_MAX = 1_000_000;

/** What a session needs from the server. */
export interface SessionOptions {
  readonly socket: Socket;
  /** Largest frame in either direction, in bytes. */
  readonly maxMessageBytes: number;
  readonly handle: RequestHandler;
  /** null: a client that may not listen; its request goes to the handler. */
  readonly subscriptions: Subscriptions | null;
  /** Called once, when the connection is gone. */
  readonly onClosed: () => void;
  readonly warn: (message: string) => void;
}

/** Where a client that asks for events is entered. */
export interface Subscriptions {
  subscribe(subscriber: Subscriber): void;
  unsubscribe(subscriber: Subscriber): void;
}

/** A connected client. */
export class ClientSession implements Subscriber {
  readonly #socket: Socket;
  readonly #options: SessionOptions;
  readonly #decoder: FrameDecoder;
  /** A request is being answered, or its answer has not left yet. */
  #busy: boolean;
  /** The client sends no more; the session ends after what is in hand. */
  #ended: boolean;
  #closing: boolean;
  /** What the request under way is at, and whether the client has not been told. */
  #progress: string;
  #unsaid: boolean;
  /** Nothing more is read: main is about to become another program. */
  #frozen: boolean;
  #subscribed: boolean;

  constructor(options: SessionOptions) {
    this.#socket = options.socket;
    this.#options = options;
    this.#decoder = new FrameDecoder({ maxBytes: options.maxMessageBytes });
    this.#busy = false;
    this.#ended = false;
    this.#closing = false;
    this.#progress = "";
    this.#unsaid = false;
    this.#frozen = false;
    this.#subscribed = false;
    this.#socket.on("data", (chunk: Buffer) => {
      this.#decoder.push(chunk);
      this.#pump();
    });
    this.#socket.on("end", () => {
      this.#ended = true;
      this.#pump();
    });
    // The close event follows and does the work.
    this.#socket.on("error", () => undefined);
    this.#socket.on("close", () => {
      options.subscriptions?.unsubscribe(this);
      options.onClosed();
    });
  }

  push(frame: Uint8Array): boolean {
    if (this.#socket.writableLength + frame.length <= EVENT_BYTES_MAX) {
      this.#socket.write(frame);
      return true;
    }
    this.#socket.destroy();
    return false;
  }

  /** An answer is due, or on its way. */
  get isBusy(): boolean {
    return this.#busy || this.#socket.writableLength > 0;
  }

  get isSubscribed(): boolean {
    return this.#subscribed;
  }

  /** Reads nothing more; what is under way goes on. */
  freeze(): void {
    this.#frozen = true;
    this.#socket.pause();
  }

  thaw(): void {
    this.#frozen = false;
    if (!this.#busy) this.#pump();
  }

  /** What the client has sent beyond the request under way. Only while frozen. */
  pending(): Uint8Array {
    // What it returns goes to the data event, too.
    this.#socket.read();
    return this.#decoder.rest;
  }

  /** Goes on where an earlier main stopped: with what the client had sent, and perhaps with the answer that it waits for. */
  resume(pending: Uint8Array, subscribed: boolean, answer: Response | null): void {
    this.#decoder.push(pending);
    this.#subscribed = subscribed;
    if (answer === null) {
      this.#pump();
      return;
    }
    this.#begin();
    this.#finish(answer);
  }

  /** Lets the answer under way leave, then closes; new requests are not read any more. */
  close(): void {
    this.#closing = true;
    this.#socket.pause();
    if (!this.#busy) this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #pump(): void {
    if (this.#busy || this.#frozen) return;
    if (this.#closing) {
      // Not end(): a socket that is not read any more would never see the other side go.
      this.#socket.destroySoon();
      return;
    }
    switch (this.#decoder.next()) {
      case FRAME.MESSAGE:
        this.#answer(this.#decoder.body);
        return;
      case FRAME.LENGTH_UNDER_DELIMITER:
        this.#refuse("the length of the frame is below 8, that of its own prefix");
        return;
      case FRAME.TOO_LARGE:
        this.#closing = true;
        this.#refuse(`the frame is larger than max_command_buffer_size (${this.#options.maxMessageBytes} bytes)`);
        return;
      default:
        if (this.#ended) this.#socket.end();
        else this.#socket.resume();
    }
  }

  #refuse(reason: string): void {
    this.#options.warn(reason);
    this.#begin();
    this.#finish(failureResponse(commandError("MALFORMED", reason).message));
  }

  #answer(body: Uint8Array): void {
    if (body.length <= AT_ONCE_BYTES_MAX) {
      const request = decodeMessage(RequestSchema, body);
      this.#take(request === null ? null : { request, missing: missingField(RequestSchema, request) });
      return;
    }
    this.#begin();
    // It never rejects: what cannot be decoded is null.
    inSlices(readingRequest(body.slice())).then((read) => this.#take(read));
  }

  #take(read: ReadRequest | null): void {
    if (read === null) {
      this.#refuse("it is not a Request");
      return;
    }
    const { request, missing } = read;
    if (missing !== null) {
      this.#refuse(`${missing} is missing`);
      return;
    }
    // Silent until there is an event (decisions 6).
    const { subscriptions } = this.#options;
    if (request.requestType.case === "subscribeEvents" && subscriptions !== null) {
      this.#subscribed = true;
      subscriptions.subscribe(this);
      this.#next();
      return;
    }
    this.#begin();
    const progress = (text: string): boolean => {
      this.#progress = text;
      this.#unsaid = true;
      return !this.#socket.destroyed;
    };
    const ticker = setInterval(() => this.#report(), PROCESSING_INTERVAL_MS);
    this.#options.handle(request, progress).then(
      (response) => {
        clearInterval(ticker);
        this.#finish(response);
      },
      (error: unknown) => {
        clearInterval(ticker);
        const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.#options.warn(`a request failed inside main: ${reason}`);
        this.#finish(failureResponse("internal error, see the log of main"));
      },
    );
  }

  #begin(): void {
    this.#busy = true;
    this.#progress = "";
    this.#unsaid = false;
    this.#socket.pause();
  }

  // What is on the way leaves with the answer, in one write, unless the answer takes long.
  #finish(response: Response): void {
    this.#socket.cork();
    if (this.#unsaid) this.#report();
    if (!this.#write(response)) {
      const limit = `max_command_buffer_size (${this.#options.maxMessageBytes} bytes)`;
      const advice = "ask for less (one domain, one cluster), or raise that key and restart";
      this.#write(failureResponse(`the answer is larger than ${limit}: ${advice}`));
    }
    this.#socket.uncork();
    if (!this.#socket.writableNeedDrain) {
      this.#next();
      return;
    }
    const timer = setTimeout(() => {
      this.#options.warn("a client does not read its answer, closing");
      this.#socket.destroy();
    }, DRAIN_TIMEOUT_MS);
    const done = (): void => {
      clearTimeout(timer);
      this.#socket.off("close", done).off("drain", done);
      this.#next();
    };
    this.#socket.on("close", done).on("drain", done);
  }

  #next(): void {
    this.#busy = false;
    // Not from the stack of the last one: a client may have sent thousands of small requests at once.
    setImmediate(() => this.#pump());
  }

  /** A client that is slow does without the messages on the way. */
  #report(): void {
    this.#unsaid = false;
    if (!this.#socket.writableNeedDrain) this.#write(processingResponse(this.#progress));
  }

  /** An answer that cannot be written is our mistake; main goes on. */
  #encode(response: Response): Uint8Array | null {
    const maxBytes = this.#options.maxMessageBytes;
    try {
      return encodeMessage(ResponseSchema, response, maxBytes);
    } catch (error) {
      this.#options.warn(`an answer cannot be encoded: ${error instanceof Error ? error.stack : String(error)}`);
      return encodeMessage(ResponseSchema, failureResponse("internal error, see the log of main"), maxBytes);
    }
  }

  /** False when the message is larger than a frame may be. */
  #write(response: Response): boolean {
    if (this.#socket.destroyed) return true;
    const frame = this.#encode(response);
    if (frame === null) return false;
    this.#socket.write(frame);
    return true;
  }
}
