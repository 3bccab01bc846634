// The configuration file as JSON Schema (2020-12), for editors: keys, types, ranges, words, defaults and meanings from the
// key tables, so it cannot say anything else than `sozu config check`, only less: what files and other keys decide stays
// with that verb. Keys of parts that are not built yet are marked as deprecated and accept nothing.

import type { JsonSchema, Key, KeyTable } from "./keys.ts";
import {
  BACKEND_KEYS,
  CLUSTER_KEYS,
  FRONTEND_KEYS,
  GLOBAL_KEYS,
  HEADER_KEYS,
  HEALTH_CHECK_KEYS,
  LISTENER_KEYS,
  METRICS_KEYS,
  STREAM_FRONTEND_KEYS,
  UDP_HEALTH_KEYS,
  UDP_KEYS,
} from "./tables.ts";
import { BACKEND_TLS_KEYS, CLIENT_AUTH_KEYS, HSTS_KEYS } from "./tables-tls.ts";

/** The whole schema. */
export function configSchema(): JsonSchema {
  const hsts = tableSchema(HSTS_KEYS);
  const frontend = tableSchema(FRONTEND_KEYS, { headers: listOf(tableSchema(HEADER_KEYS)), hsts });
  const cluster = tableSchema(CLUSTER_KEYS, {
    frontends: listOf({ anyOf: [frontend, tableSchema(STREAM_FRONTEND_KEYS)] }),
    udp: tableSchema(UDP_KEYS, { health: tableSchema(UDP_HEALTH_KEYS) }),
    backends: listOf(tableSchema(BACKEND_KEYS)),
    health_check: tableSchema(HEALTH_CHECK_KEYS),
    tls: tableSchema(BACKEND_TLS_KEYS),
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Configuration of sozu",
    ...tableSchema(GLOBAL_KEYS, {
      listeners: listOf(tableSchema(LISTENER_KEYS, { hsts, client_auth: tableSchema(CLIENT_AUTH_KEYS) })),
      clusters: { type: "object", additionalProperties: cluster },
      metrics: tableSchema(METRICS_KEYS),
    }),
  };
}

function tableSchema(keys: KeyTable, nested: Readonly<Record<string, JsonSchema>> = {}): JsonSchema {
  const names = Object.keys(keys);
  const properties = Object.fromEntries(names.map((name) => [name, keySchema(keys[name]!, nested[name])]));
  const required = names.filter((name) => keys[name]!.required);
  return { type: "object", properties, required, additionalProperties: false };
}

function keySchema(key: Key, nested: JsonSchema | undefined): JsonSchema {
  const description = key.required ? key.doc : `${key.doc} Default: ${key.default}.`;
  const later = key.later ? { deprecated: true } : {};
  return { description, ...(nested ?? key.json), ...defaultOf(key), ...later };
}

/** A default that is a value; others are words about one and stay in the description. */
function defaultOf(key: Key): JsonSchema {
  const text = /^`(.*)`$/.exec(key.default)?.[1];
  if (text === undefined) return {};
  if (key.type === "boolean") return { default: text === "true" };
  if (key.type.startsWith("integer")) return { default: Number(text) };
  return {};
}

function listOf(items: JsonSchema): JsonSchema {
  return { type: "array", items };
}
