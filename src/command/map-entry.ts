// Maps of messages are plain objects, and their keys come from outside: `__proto__` must be a key like any other.

/** Puts an entry into a map of a message. */
export function setEntry<V>(map: Record<string, V>, key: string, value: V): void {
  Object.defineProperty(map, key, { value, writable: true, enumerable: true, configurable: true });
}
