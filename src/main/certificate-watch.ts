// Says in the log which certificates have to be renewed: when main starts and once a day. What is added between two rounds
// is told to whoever adds it.

import { expiryNotices } from "../certificates/expiry.ts";
import type { ConfigState } from "../command/state.ts";
import type { Logger } from "../observe/logger.ts";

const ROUND_SECONDS = 86_400;
/** Lines of one round. */
const SAID_MAX = 20;

export class CertificateWatch {
  readonly #state: ConfigState;
  readonly #logger: Pick<Logger, "warn">;
  #nextSeconds: number;

  constructor(state: ConfigState, logger: Pick<Logger, "warn">) {
    this.#state = state;
    this.#logger = logger;
    this.#nextSeconds = 0;
  }

  /** Cheap unless a round is due; call it as often as you like. */
  tick(nowSeconds: number): void {
    if (nowSeconds < this.#nextSeconds) return;
    this.#nextSeconds = nowSeconds + ROUND_SECONDS;
    const notices = expiryNotices(objectsOf(this.#state), nowSeconds);
    for (const { text } of notices.slice(0, SAID_MAX)) this.#logger.warn("certificates", text);
    const more = notices.length - SAID_MAX;
    if (more > 0) this.#logger.warn("certificates", `${more} more have to be renewed: sozu certificate list`);
  }
}

function* objectsOf({ certificates }: ConfigState) {
  for (const { object } of certificates.entries.values()) yield object;
}
