// How an exchange ended, as its access line says it (spec 5.6, 5.12).

import { ascii } from "../wire/http1/bytes.ts";

export const NOTE_COMPLETE = 0;
export const NOTE_CLIENT_TIMEOUT = 1;
export const NOTE_CLIENT_TIMEOUT_DURING_RESPONSE = 2;
export const NOTE_BACKEND_TIMEOUT = 3;
export const NOTE_BACKEND_RESPONSE_TIMEOUT = 4;
export const NOTE_SESSION_CLOSE = 5;
export const NOTE_BACKEND_CLOSED = 6;
export const NOTE_UPGRADE = 7;
/** How a tunnel ended: in an orderly way, or because a side failed (spec 10.5). */
export const NOTE_TUNNEL_END = 8;
export const NOTE_FRONT_READ_ERROR = 9;
export const NOTE_FRONT_WRITE_ERROR = 10;
export const NOTE_BACK_READ_ERROR = 11;

/** Indexed by the NOTE_ constants; a tunnel that ended as it should has no message. */
export const NOTE_TEXTS: readonly (Uint8Array | null)[] = [
  "H1::Complete",
  "client_timeout",
  "client_timeout_during_response",
  "backend_timeout",
  "backend_response_timeout",
  "session close",
  "backend_closed",
  "H1::Upgrade",
  null,
  "front socket read error",
  "front socket write error",
  "back socket read error",
].map((note) => (note === null ? null : ascii(note)));
/** Notes of responses that were not complete, and of tunnels that broke: error lines (spec 5.12, 10.5). */
export const NOTE_IS_ERROR: readonly number[] = [0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1];
