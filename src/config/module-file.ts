// A configuration that is a module: `sozu.config.ts` and its like. It is run, and what it exports by default becomes the
// text of a TOML file, which is then read as any other; so both kinds mean the same, and problems show the line of TOML.

import { statSync } from "node:fs";
import { registerHooks } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { stringify } from "smol-toml";

/** The TOML that a module stands for, or why it stands for none. The newest text counts, also when it ran before. */
export async function readModule(path: string): Promise<string | { readonly reason: string }> {
  const file = resolve(path);
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return { reason: `${path}: there is no such file` };
  // A module runs once: another name makes it run again.
  const url = `${pathToFileURL(file).href}?${stat.mtimeMs}-${stat.size}`;
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "sozu/config" ? { url: OWN, shortCircuit: true } : next(specifier, context),
  });
  try {
    const { default: config } = (await import(url)) as { default?: unknown };
    if (typeof config !== "object" || config === null) {
      return { reason: `${path}: it exports no configuration: write export default defineConfig({ ... })` };
    }
    return stringify(plain(config) as Record<string, unknown>);
  } catch (error) {
    return { reason: `${path}: it does not run: ${error instanceof Error ? error.message : String(error)}` };
  } finally {
    hooks.deregister();
  }
}

const OWN = new URL(import.meta.url.endsWith(".ts") ? "./define.ts" : "./define.js", import.meta.url).href;

/** Data only, without members that are undefined: `{ key: condition ? value : undefined }` leaves the key out. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "function") throw new Error("a configuration holds data, no functions");
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(entries.map(([name, item]) => [name, plain(item)]));
}
