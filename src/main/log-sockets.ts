// Connections to log servers: udp://, tcp:// and unix:// targets (spec 12.1), for main itself and for workers, whose sandbox
// lets them connect nowhere near. Each process has a connection of its own, so lines of two never mix in one stream.
// Who lost one asks, with pauses that grow (src/observe/socket-target.ts); an answer is a socket that is connected, or
// about to be: whoever writes finds out. What is asked for is checked: a worker may be in somebody else's hands.

import { lookup } from "node:dns";
import { parseTarget } from "../config/log-target.ts";
import { type LogTarget, openTarget } from "../observe/target.ts";
import { describeErrno } from "../os/errno.ts";
import { connectIp, connectUnix } from "../os/listeners.ts";
import * as option from "../os/socket-options.ts";
import { setsockopt } from "../os/sockets.ts";

/** Gets a descriptor, which is then its own. */
export type OnSocket = (fd: number) => void;

/** Connects to the targets that it was made with. */
export class LogSockets {
  readonly #targets: ReadonlySet<string>;
  readonly #complain: (message: string) => void;
  /** When each asker asked last for a target. */
  readonly #asked: WeakMap<object, Map<string, number>>;
  /** Targets of which it was said that they cannot be connected. */
  readonly #failing: Set<string>;

  /** `complain` hears once when a target cannot be connected, until it can. */
  constructor(targets: readonly (string | null)[], complain: (message: string) => void) {
    this.#targets = new Set(targets.filter((target) => target !== null));
    this.#complain = complain;
    this.#asked = new WeakMap();
    this.#failing = new Set();
  }

  /** Main's own target. Throws an Error with the reason when the text is none or a file cannot be opened. */
  open(text: string): LogTarget {
    const ask = (wanted: string): void => this.connect(target, wanted, (fd) => target.adopt(fd));
    const target = openTarget(text, { ask, nowMs: () => performance.now(), lines: true });
    return target;
  }

  /** Connects to `target` for `asker`, at most every half second; does nothing when it cannot. */
  connect(asker: object, target: string, onSocket: OnSocket): void {
    const parsed = parseTarget(target);
    if (!this.#targets.has(target) || this.#tooSoon(asker, target)) return;
    if (parsed.kind === "unix") this.#answer(target, connectUnix(parsed.path, option.UNIX_DGRAM), onSocket);
    if (parsed.kind !== "udp" && parsed.kind !== "tcp") return;
    const { kind, host, port } = parsed;
    lookup(host, (error, ip, family) => {
      if (error !== null) this.#refuse(target, `cannot look up ${host}: ${error.code}`);
      else this.#answer(target, connectIp(KINDS[kind][family === 6 ? 1 : 0], { ip, port }), onSocket);
    });
  }

  #answer(target: string, fd: number, onSocket: OnSocket): void {
    if (fd < 0) {
      this.#refuse(target, `cannot connect: ${describeErrno(fd)}`);
      return;
    }
    this.#failing.delete(target);
    // A server that vanished without a word is noticed; on other sockets these options are refused, and not needed.
    setsockopt(fd, option.SOL_SOCKET, option.SO_KEEPALIVE, 1);
    setsockopt(fd, option.IPPROTO_TCP, option.TCP_USER_TIMEOUT, SILENCE_MAX_MS);
    onSocket(fd);
  }

  #refuse(target: string, reason: string): void {
    if (!this.#failing.has(target)) this.#complain(`log target ${target}: ${reason}`);
    this.#failing.add(target);
  }

  #tooSoon(asker: object, target: string): boolean {
    const asked = this.#asked.get(asker) ?? new Map<string, number>();
    const now = performance.now();
    if (now < (asked.get(target) ?? Number.NEGATIVE_INFINITY) + PAUSE_MS) return true;
    asked.set(target, now);
    this.#asked.set(asker, asked);
    return false;
  }
}

const PAUSE_MS = 500;
const SILENCE_MAX_MS = 30_000;
const KINDS = { tcp: [option.TCP4, option.TCP6], udp: [option.UDP4, option.UDP6] } as const;
