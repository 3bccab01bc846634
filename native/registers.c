// The register block, the arena and the clock. Until TypeScript binds its block the registers point at a static one, so
// that no call order can reach a null pointer. Both are held by a strong reference: their bytes stay where they are.
#include "native.h"

#include <time.h>

static union {
  uint8_t bytes[BLOCK_BYTES];
  double alignment;
} fallback;

static uint8_t empty_arena[1];

int32_t *regs = (int32_t *)fallback.bytes;
double *clock_words = (double *)(fallback.bytes + CLOCK_BYTE);
double *number_words = (double *)(fallback.bytes + NUMBER_BYTE);
int32_t *iov_words = (int32_t *)(fallback.bytes + IOV_BYTE);
int32_t *event_words = (int32_t *)(fallback.bytes + EVENT_BYTE);
uint8_t *arena = empty_arena;
size_t arena_length = 0;

static napi_ref block_reference;
static napi_ref arena_reference;

static double microseconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec * 1e6 + (double)(now.tv_nsec / 1000);
}

void clock_monotonic(void) { clock_words[0] = microseconds(CLOCK_MONOTONIC); }

void clock_both(void) {
  clock_words[0] = microseconds(CLOCK_MONOTONIC);
  clock_words[1] = microseconds(CLOCK_REALTIME);
}

static void point_registers(uint8_t *block) {
  regs = (int32_t *)block;
  clock_words = (double *)(block + CLOCK_BYTE);
  number_words = (double *)(block + NUMBER_BYTE);
  iov_words = (int32_t *)(block + IOV_BYTE);
  event_words = (int32_t *)(block + EVENT_BYTE);
}

static void forget_memory(void *data) {
  point_registers(fallback.bytes);
  arena = empty_arena;
  arena_length = 0;
  block_reference = NULL;
  arena_reference = NULL;
}

VALUE_CALL(bind_registers) {
  napi_value block;
  void *data = NULL;
  size_t length = 0;
  bool is_buffer = false;
  if (!read_arguments(env, info, 1, &block)) return make_int(env, -EINVAL);
  if (napi_is_arraybuffer(env, block, &is_buffer) != napi_ok || !is_buffer) return make_int(env, -EINVAL);
  if (napi_get_arraybuffer_info(env, block, &data, &length) != napi_ok) return make_int(env, -EINVAL);
  if (data == NULL || length < BLOCK_BYTES || (uintptr_t)data % 8 != 0) return make_int(env, -EINVAL);
  if (block_reference != NULL) return make_int(env, -EBUSY);
  if (napi_create_reference(env, block, 1, &block_reference) != napi_ok) return make_int(env, -ENOMEM);
  napi_add_env_cleanup_hook(env, forget_memory, NULL);
  point_registers(data);
  return make_int(env, 0);
}

VALUE_CALL(register_arena) {
  napi_value value;
  uint8_t *data = NULL;
  size_t length = 0;
  napi_ref reference;
  if (!read_arguments(env, info, 1, &value)) return make_int(env, -EINVAL);
  if (!read_bytes(env, value, &data, &length) || data == NULL) return make_int(env, -EINVAL);
  if (napi_create_reference(env, value, 1, &reference) != napi_ok) return make_int(env, -ENOMEM);
  if (arena_reference != NULL) napi_delete_reference(env, arena_reference);
  arena_reference = reference;
  arena = data;
  arena_length = length;
  return make_int(env, 0);
}

REGISTER_CALL(read_clock) {
  clock_both();
  return NULL;
}

const native_function register_functions[] = {
    {"bindRegisters", bind_registers},
    {"registerArena", register_arena},
    {"readClock", read_clock},
    END_OF_FUNCTIONS,
};
