// The command socket: accepts clients, checks who they are, gives each a session. Clients do not see each other: each
// has its own connection, and a silent, slow or dead one costs the others nothing.

import { Socket } from "node:net";
import { type Request, type Response, ResponseSchema } from "../command/gen/sozu_pb.ts";
import { encodeMessage, failureResponse, request } from "../command/messages.ts";
import type { AuditClient } from "../observe/audit.ts";
import type { Logger } from "../observe/logger.ts";
import { EAGAIN } from "../os/errno.ts";
import { peerCred } from "../os/listeners.ts";
import { accept, close } from "../os/sockets.ts";
import { unwatchFd, watchFd } from "../os/watcher.ts";
import type { Actors } from "./actor.ts";
import type { Audit } from "./audit.ts";
import type { CarriedClient } from "./carry.ts";
import { ClientSession, type Progress, type RequestHandler, type Subscriptions } from "./client-session.ts";
import type { Subscriber } from "./events.ts";

/** Clients at once; a further one is told so and closed. */
export const CLIENTS_MAX = 1024;
/** Clients accepted per wake-up, so that workers get their turn between them. */
const ACCEPT_BUDGET = 16;
/** Pause after accept() failed for want of descriptors or memory. */
const ACCEPT_PAUSE_MS = 100;
const FREEZE_LOOK_MS = 5;

/** Answers one request of a client. */
export type ClientHandler = (request: Request, progress: Progress, client: AuditClient) => Promise<Response>;

/** What the server needs. */
export interface CommandServerOptions {
  /** A listening unix socket; the server owns the registration, not the descriptor. */
  readonly fd: number;
  readonly maxMessageBytes: number;
  /** null: whoever can open the socket. */
  readonly allowedUids: readonly number[] | null;
  readonly handle: ClientHandler;
  readonly actors: Actors;
  readonly audit: Audit;
  readonly subscriptions: Subscriptions & {
    /** The same for a client that listened to an earlier main. */
    resume(subscriber: Subscriber): void;
  };
  readonly logger: Logger;
}

interface Connected {
  readonly session: ClientSession;
  readonly client: AuditClient;
  readonly fd: number;
}

/** The listening side of the command socket. */
export class CommandServer {
  readonly #options: CommandServerOptions;
  readonly #sessions: Map<ClientSession, Connected>;
  #pause: NodeJS.Timeout | null;
  #onEmpty: (() => void) | null;

  constructor(options: CommandServerOptions) {
    this.#options = options;
    this.#sessions = new Map();
    this.#pause = null;
    this.#onEmpty = null;
    this.#watch();
  }

  /** Clients connected now. */
  get clients(): number {
    return this.#sessions.size;
  }

  /** Stops accepting, lets answers under way leave, cuts what is left after `graceMs`. */
  close(graceMs: number): Promise<void> {
    if (this.#pause !== null) clearTimeout(this.#pause);
    else unwatchFd(this.#options.fd);
    for (const session of this.#sessions.keys()) session.close();
    if (this.#sessions.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        for (const session of this.#sessions.keys()) session.destroy();
      }, graceMs);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /**
   * Accepts and reads nothing more, and waits until no answer is due but that of `asking`. False: it takes too long; then
   * thaw() goes on.
   */
  async freeze(asking: AuditClient, timeoutMs: number): Promise<boolean> {
    if (this.#pause !== null) clearTimeout(this.#pause);
    else unwatchFd(this.#options.fd);
    this.#pause = null;
    for (const { session } of this.#sessions.values()) session.freeze();
    const untilMs = performance.now() + timeoutMs;
    const busy = (): boolean =>
      [...this.#sessions.values()].some(({ session, client }) => client !== asking && session.isBusy);
    while (busy()) {
      if (performance.now() > untilMs) return false;
      await new Promise((resolve) => setTimeout(resolve, FREEZE_LOOK_MS));
    }
    return true;
  }

  thaw(): void {
    for (const { session } of this.#sessions.values()) session.thaw();
    this.#watch();
  }

  /** The clients, for the next main. Only while frozen. */
  carry(asking: AuditClient | null): CarriedClient[] {
    return [...this.#sessions.values()].map(({ session, client, fd }) => ({
      client,
      fd,
      pending: asking === null ? "" : Buffer.from(session.pending()).toString("base64"),
      subscribed: session.isSubscribed,
      asking: client === asking,
    }));
  }

  /** The other way; `answer` is what the client that asked for the upgrade hears. */
  resume(clients: readonly CarriedClient[], answer: Response): void {
    for (const { client, fd, pending, subscribed, asking } of clients) {
      const session = this.#open(new Socket({ fd, readable: true, writable: true, allowHalfOpen: true }), fd, client);
      if (subscribed) this.#options.subscriptions.resume(session);
      session.resume(Buffer.from(pending, "base64"), subscribed, asking ? answer : null);
    }
  }

  #watch(): void {
    this.#pause = null;
    watchFd(this.#options.fd, () => this.#accept());
  }

  #accept(): void {
    for (let i = 0; i < ACCEPT_BUDGET; i++) {
      const fd = accept(this.#options.fd);
      if (fd === -EAGAIN) return;
      if (fd < 0) {
        // The socket stays readable: without a pause this would spin until a descriptor is free.
        unwatchFd(this.#options.fd);
        this.#pause = setTimeout(() => this.#watch(), ACCEPT_PAUSE_MS);
        return;
      }
      this.#welcome(fd);
    }
  }

  #welcome(fd: number): void {
    const peer = peerCred(fd);
    if (typeof peer === "number") {
      close(fd);
      return;
    }
    const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
    if (this.#sessions.size >= CLIENTS_MAX) {
      turnAway(socket, `too many clients of the command socket (${CLIENTS_MAX})`);
      return;
    }
    this.#open(socket, fd, this.#options.actors.client(peer));
  }

  #open(socket: Socket, fd: number, client: AuditClient): ClientSession {
    const { uid, pid } = client.actor;
    const { allowedUids } = this.#options;
    const refused = allowedUids !== null && !allowedUids.includes(uid);
    const session = new ClientSession({
      socket,
      maxMessageBytes: this.#options.maxMessageBytes,
      handle: refused ? this.#refuse(client) : (asked, progress) => this.#options.handle(asked, progress, client),
      subscriptions: refused ? null : this.#subscriptions(client),
      onClosed: () => this.#forget(session),
      warn: (message) => this.#options.logger.warn("command", `client pid ${pid}: ${message}`),
    });
    this.#sessions.set(session, { session, client, fd });
    return session;
  }

  #refuse(client: AuditClient): RequestHandler {
    const reason = `unauthorized: actor UID ${client.actor.uid} not in command_allowed_uids`;
    return async (asked) => {
      this.#options.audit.refuse(client, asked, reason);
      return failureResponse(reason);
    };
  }

  #subscriptions(client: AuditClient): Subscriptions {
    const { subscriptions, audit } = this.#options;
    return {
      subscribe: (subscriber) => {
        subscriptions.subscribe(subscriber);
        audit.begin(client, request({ case: "subscribeEvents", value: {} }))?.finish(null);
      },
      unsubscribe: (subscriber) => subscriptions.unsubscribe(subscriber),
    };
  }

  #forget(session: ClientSession): void {
    this.#sessions.delete(session);
    if (this.#sessions.size === 0) this.#onEmpty?.();
  }
}

function turnAway(socket: Socket, reason: string): void {
  socket.on("error", () => undefined);
  const frame = encodeMessage(ResponseSchema, failureResponse(reason));
  if (frame === null) socket.destroy();
  else socket.end(frame, () => socket.destroy());
}
