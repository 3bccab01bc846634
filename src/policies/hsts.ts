// Strict-Transport-Security (RFC 6797; spec 5.11) as responses of an HTTPS listener carry it: rendered once, when the
// policy of a frontend or a listener is set.

import type { HstsObject } from "../command/objects-tls.ts";
import { Constant } from "../wire/http1/encoder.ts";

/** A compiled policy. */
export class HstsPolicy {
  /** `Strict-Transport-Security: max-age=N... CRLF`; empty: the field is not added. */
  readonly line: Constant;
  /** The same for answers that are rendered as text. */
  readonly text: string;
  /** What a backend says of it is dropped; otherwise its own field stays, and none is added. */
  readonly replaces: boolean;

  constructor(hsts: HstsObject) {
    this.text = hsts.enabled ? `Strict-Transport-Security: ${hstsValue(hsts)}\r\n` : "";
    this.line = new Constant(this.text);
    this.replaces = hsts.enabled && hsts.forceReplaceBackend;
  }
}

/** null: nothing is said about it. */
export function compileHsts(hsts: HstsObject | null): HstsPolicy | null {
  return hsts === null ? null : new HstsPolicy(hsts);
}

/** RFC 6797 6.1: max-age first, as everybody writes it. */
function hstsValue(hsts: HstsObject): string {
  const subdomains = hsts.includeSubdomains ? "; includeSubDomains" : "";
  return `max-age=${hsts.maxAge}${subdomains}${hsts.preload ? "; preload" : ""}`;
}
