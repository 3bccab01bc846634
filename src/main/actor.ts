// Who a client of the command socket is, for the audit trail (spec 12.9): its credentials are the kernel's, of the moment
// of its connect; the names behind them are looked up once and are hints only.

import { randomFillSync } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { AuditClient } from "../observe/audit.ts";
import { ULID_LENGTH, UlidSource } from "../observe/ulid.ts";

/** What the kernel says of a peer. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Names clients and requests. One per main. */
export class Actors {
  readonly #passwd: string;
  readonly #users: Map<number, string | null>;
  readonly #ulids: UlidSource;
  readonly #ulid: Uint8Array;
  #clients: number;

  /** `passwd`: the password file; `clients`: how many an earlier main had. */
  constructor(passwd = "/etc/passwd", clients = 0) {
    this.#passwd = passwd;
    this.#users = new Map();
    this.#ulids = new UlidSource((target) => randomFillSync(target));
    this.#ulid = new Uint8Array(ULID_LENGTH);
    this.#clients = clients;
  }

  /** Called when there is one more. */
  onClient: () => void = () => undefined;

  /** How many clients there were. */
  get clients(): number {
    return this.#clients;
  }

  /** A client that has just connected. */
  client(peer: Peer): AuditClient {
    this.#clients += 1;
    this.onClient();
    const { pid, uid, gid } = peer;
    return {
      actor: { uid, gid, pid, user: this.#userOf(uid), comm: commOf(peer) },
      clientId: this.#clients,
      sessionUlid: this.ulid(),
      connectedMs: Date.now(),
    };
  }

  /** Main itself, for what nobody asked for over the socket; `cause` is where the name of a program would be. */
  own(cause: string): AuditClient {
    const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
    const client = this.client({ pid: process.pid, uid, gid });
    return { ...client, actor: { ...client.actor, comm: cause } };
  }

  ulid(): string {
    this.#ulids.next(Date.now(), this.#ulid, 0);
    return String.fromCharCode(...this.#ulid);
  }

  #userOf(uid: number): string | null {
    const known = this.#users.get(uid);
    if (known !== undefined) return known;
    if (this.#users.size >= USERS_MAX) {
      const [oldest] = this.#users.keys();
      if (oldest !== undefined) this.#users.delete(oldest);
    }
    const user = readUser(this.#passwd, uid);
    this.#users.set(uid, user);
    return user;
  }
}

/** Users whose name is kept. */
const USERS_MAX = 16;

function readUser(path: string, uid: number): string | null {
  try {
    for (const line of readFileSync(path, "utf8").split("\n")) {
      const [name, , number] = line.split(":");
      if (number === String(uid) && name !== undefined && name !== "") return name;
    }
  } catch {
    // No such file in this container: the number says enough.
  }
  return null;
}

/** The pid may belong to another process by now: then its owner most likely is another one, too. */
function commOf({ pid, uid }: Peer): string | null {
  if (pid <= 0) return null;
  try {
    if (statSync(`/proc/${pid}`).uid !== uid) return null;
    return readFileSync(`/proc/${pid}/comm`, "utf8").trimEnd();
  } catch {
    return null;
  }
}
