// What makes an HTTP listener an HTTPS listener.

import type { HttpsListenerObject } from "../../command/objects-tls.ts";
import { compileHsts, type HstsPolicy } from "../../policies/hsts.ts";
import type { Secured } from "./secured.ts";

export class ListenerTls {
  config: HttpsListenerObject;
  /** For frontends that say nothing of it; null: none. */
  hsts: HstsPolicy | null;

  constructor(config: HttpsListenerObject) {
    this.config = config;
    this.hsts = compileHsts(config.hsts);
  }

  /** Whether a connection may ask for this host (spec 8.7). */
  isBound(secured: Secured | null, _host: string): boolean {
    return secured === null || secured.names === null;
  }
}
