// Enumerations as operators write them, in the configuration file and on the command line: each list is in the order of
// the schema's numbers.

/** RedirectPolicy. */
export const REDIRECTS = ["forward", "permanent", "unauthorized", "found", "permanent_redirect"] as const;
/** RedirectScheme. */
export const REDIRECT_SCHEMES = ["use-same", "use-http", "use-https"] as const;
/** HeaderPosition, from 1. */
export const HEADER_POSITIONS = ["request", "response", "both"] as const;

/** Spec 2.6: any case, `_` or `-` between words; `joint` is the one that the list has. */
export function foldWord(given: string, joint: "_" | "-"): string {
  return given.toLowerCase().replace(/[_-]/g, joint);
}

/** TlsVersion. */
export const TLS_VERSIONS = ["SSL_V2", "SSL_V3", "TLS_V10", "TLS_V11", "TLS_V12", "TLS_V13"] as const;

/** Levels of metric detail as configuration and command line write them; the position is the number of the schema. */
export const METRIC_DETAILS = ["process", "frontend", "cluster", "backend"] as const;
