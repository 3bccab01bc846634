// The address that a client called, as forwarding fields show it: the listener's, or the destination in the PROXY protocol
// header of its connection.

import { formatPeer } from "../os/sockets.ts";
import { Constant } from "../wire/http1/encoder.ts";

export interface PublicPlace {
  readonly publicPort: Constant;
  /** IPv6 quoted and in brackets, as `by=` wants it. */
  readonly publicIpQuoted: Constant;
}

/** The destination of a PROXY protocol header, as forwarding fields show it. */
export function placeOf(destination: Int32Array): PublicPlace {
  const text = formatPeer(destination);
  const ip = text.slice(0, text.lastIndexOf(":"));
  return {
    publicPort: new Constant(`${destination[1]}`),
    publicIpQuoted: new Constant(ip.startsWith("[") ? `"${ip}"` : ip),
  };
}
