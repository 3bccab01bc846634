// Messages to mutate: the public vectors when they are beside the checkout (see conformance/lib/vectors.ts).

import { load, vectorsExist } from "../../conformance/lib/vectors.ts";

const SETS = ["http11probe", "gunicorn", "llhttp", "go-net-http", "apache-httpd-strict"];
const BYTES_MAX = 20_000;

/** Every byte string of the vector sets, as latin1 text. Empty without the vectors. */
export function loadCorpus(): string[] {
  if (!vectorsExist()) return [];
  const found = new Set<string>();
  for (const set of SETS) collect(load<unknown>(set), found);
  return [...found];
}

function collect(value: unknown, found: Set<string>): void {
  if (Array.isArray(value)) {
    for (const item of value) collect(item, found);
  } else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      if (typeof item === "string" && /base64/.test(key)) {
        const text = Buffer.from(item, "base64").toString("latin1");
        if (text.length <= BYTES_MAX) found.add(text);
      } else collect(item, found);
    }
  }
}
