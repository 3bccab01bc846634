// PEM blocks (RFC 7468) of a text: certificates and private keys as operators hand them over, often several in one file.

/** The blocks with one of these labels, each with its markers, in order. What stands between them is left out. */
export function pemBlocks(text: string, labels: readonly string[]): string[] {
  const blocks: string[] = [];
  let at = text.indexOf(BEGIN);
  while (at >= 0) {
    const labelEnd = text.indexOf(DASHES, at + BEGIN.length);
    if (labelEnd < 0) break;
    const label = text.slice(at + BEGIN.length, labelEnd);
    const marker = `-----END ${label}-----`;
    const end = text.indexOf(marker, labelEnd);
    // A block without an end: what follows is not what it says it is.
    if (end < 0) break;
    if (labels.includes(label)) blocks.push(`${text.slice(at, end + marker.length)}\n`);
    at = text.indexOf(BEGIN, end + marker.length);
  }
  return blocks;
}

/** The label of a certificate. */
export const CERTIFICATE: readonly string[] = ["CERTIFICATE"];
/** The labels of PKCS#8, PKCS#1 and SEC1. */
export const PRIVATE_KEYS: readonly string[] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

const BEGIN = "-----BEGIN ";
const DASHES = "-----";
