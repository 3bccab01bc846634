// Which certificates somebody has to renew (decisions 33: that is said, nothing is refused for it). Pure: for the warnings
// in main's log and for `sozu doctor`.

import { formatAddress } from "../command/address-text.ts";
import type { CertificateObject } from "../command/objects-tls.ts";

/** Seconds before the end from which on it is said; certificates that live for less than six weeks: their last third. */
export const EXPIRY_NOTICE_SECONDS: number = 14 * 86_400;

/** A certificate that has expired or will soon. */
export interface ExpiryNotice {
  readonly certificate: CertificateObject;
  /** Until its end; negative: since. */
  readonly secondsLeft: number;
  /** `certificate 0123456789abcdef (a.test, b.test) of 0.0.0.0:8443 expires in 3 days`. */
  readonly text: string;
}

/** Those that need attention, the most urgent first. */
export function expiryNotices(certificates: Iterable<CertificateObject>, nowSeconds: number): ExpiryNotice[] {
  const notices: ExpiryNotice[] = [];
  for (const certificate of certificates) {
    const { notBefore, notAfter } = certificate;
    const secondsLeft = notAfter - nowSeconds;
    if (secondsLeft >= Math.min(EXPIRY_NOTICE_SECONDS, (notAfter - notBefore) / 3)) continue;
    notices.push({ certificate, secondsLeft, text: textOf(certificate, secondsLeft) });
  }
  return notices.sort((a, b) => a.secondsLeft - b.secondsLeft);
}

function textOf({ fingerprint, names, address }: CertificateObject, secondsLeft: number): string {
  const shown = names.length > NAMES_SHOWN ? `${names.slice(0, NAMES_SHOWN).join(", ")}, ...` : names.join(", ");
  const which = `certificate ${fingerprint.slice(0, 16)} (${shown}) of ${formatAddress(address)}`;
  return secondsLeft <= 0 ? `${which} expired ${span(-secondsLeft)} ago` : `${which} expires in ${span(secondsLeft)}`;
}

const NAMES_SHOWN = 3;

function span(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  if (hours >= 48) return `${Math.floor(hours / 24)} days`;
  return hours === 1 ? "1 hour" : `${hours} hours`;
}
