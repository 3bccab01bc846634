// Handles of the TLS engine: slot numbers with a generation. A stale or made-up handle is not found; never a crash.
#include "tls.h"

#include <stdlib.h>

tls_table tls_contexts = TLS_EMPTY_TABLE;
tls_table tls_identities = TLS_EMPTY_TABLE;
tls_table tls_sessions = TLS_EMPTY_TABLE;
tls_table tls_resumptions = TLS_EMPTY_TABLE;

static bool grow(tls_table *table) {
  int32_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
  if (capacity > TLS_SLOTS_MAX) return false;
  void **items = realloc(table->items, (size_t)capacity * sizeof *items);
  if (items == NULL) return false;
  table->items = items;
  uint16_t *generations = realloc(table->generations, (size_t)capacity * sizeof *generations);
  if (generations == NULL) return false;
  table->generations = generations;
  int32_t *next_free = realloc(table->next_free, (size_t)capacity * sizeof *next_free);
  if (next_free == NULL) return false;
  table->next_free = next_free;
  table->capacity = capacity;
  return true;
}

/** A handle, or -ENOMEM. */
int32_t tls_table_add(tls_table *table, void *item) {
  int32_t slot = table->first_free;
  if (slot >= 0) {
    table->first_free = table->next_free[slot];
  } else {
    if (table->used == table->capacity && !grow(table)) return -ENOMEM;
    slot = table->used++;
    table->generations[slot] = 0;
  }
  table->items[slot] = item;
  table->live++;
  return (int32_t)table->generations[slot] << TLS_SLOT_BITS | slot;
}

/** NULL for a handle that is not in use. */
void *tls_table_get(const tls_table *table, int32_t handle) {
  int32_t slot = handle & (TLS_SLOTS_MAX - 1);
  if (handle < 0 || slot >= table->used || table->generations[slot] != handle >> TLS_SLOT_BITS) return NULL;
  return table->items[slot];
}

/** The item, which the caller frees; NULL for a handle that is not in use. */
void *tls_table_remove(tls_table *table, int32_t handle) {
  void *item = tls_table_get(table, handle);
  if (item == NULL) return NULL;
  int32_t slot = handle & (TLS_SLOTS_MAX - 1);
  table->items[slot] = NULL;
  table->generations[slot] = (uint16_t)((table->generations[slot] + 1) % TLS_GENERATIONS);
  table->next_free[slot] = table->first_free;
  table->first_free = slot;
  table->live--;
  return item;
}
