// Tags of frontends: keys and values that go to access lines, sorted by key.

import { type CommandError, commandError } from "./errors.ts";
import { compareUtf8 } from "./json.ts";
import { TAG_KEY_BYTES_MAX, TAG_VALUE_BYTES_MAX, TAGS_MAX } from "./limits.ts";
import { checkName, checkText } from "./text.ts";

export function toTags(tags: Record<string, string>): (readonly [string, string])[] | CommandError {
  const keys = Object.keys(tags);
  if (keys.length > TAGS_MAX) return commandError("INVALID_VALUE", "tags", `there are more than ${TAGS_MAX}`);
  for (const key of keys) {
    const reason = checkName(key, TAG_KEY_BYTES_MAX) ?? checkText(tags[key]!, TAG_VALUE_BYTES_MAX);
    if (reason !== null) return commandError("INVALID_VALUE", "tags", reason);
  }
  return keys.sort(compareUtf8).map((key) => [key, tags[key]!] as const);
}
