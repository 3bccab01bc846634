// Where redirects lead (spec 5.8): `scheme://host[:port]path`.

/** The schemes that a redirect can name. */
export type Scheme = "http" | "https";

/**
 * The value of `Location`. `authority`: host with or without a port, as rewritten or as the client sent it; its port is
 * dropped unless `keepPort`. `port`: null leaves it out, and so does the default of the scheme. `path`: with its query;
 * an empty one is `/`.
 */
export function locationOf(
  scheme: Scheme,
  authority: string,
  keepPort: boolean,
  port: number | null,
  path: string,
): string {
  const colon = portAt(authority);
  const host = colon === -1 ? authority : authority.slice(0, colon);
  const own = keepPort && colon !== -1 ? Number(authority.slice(colon + 1)) : null;
  const shown = port ?? own;
  const suffix = shown === null || shown === (scheme === "https" ? 443 : 80) ? "" : `:${shown}`;
  return `${scheme}://${host}${suffix}${path.startsWith("/") ? "" : "/"}${path}`;
}

/** Where the colon of the port is, or -1; the colons of an IPv6 address are in brackets. */
function portAt(authority: string): number {
  const colon = authority.lastIndexOf(":");
  return colon > authority.lastIndexOf("]") ? colon : -1;
}
