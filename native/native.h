// What all files of the native layer share: the register block, argument readers and the tables of functions.
//
// Mechanism only: one call is one system call. Two kinds of functions:
//   - register calls take no JavaScript arguments. They read 32-bit integers from `regs[1..]` (and doubles from
//     `numbers[2..]`), write their result to `regs[0]` and return undefined. No argument is converted.
//   - value calls take ordinary arguments (integers, Uint8Array, Int32Array) and return an integer.
// Every result is >= 0 or -errno. Wrong types are -EINVAL, ranges outside the arena -EFAULT; no exceptions.
// Every descriptor made here is close-on-exec and, where it can be, non-blocking.
#ifndef SOZU_NATIVE_H
#define SOZU_NATIVE_H

#include <errno.h>
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Layout of the register block; src/os/native.ts holds the same numbers.
enum {
  REG_RESULT = 0,
  REG_A = 1,
  REG_B = 2,
  REG_C = 3,
  REG_D = 4,
  REG_E = 5,
  REG_PEER = 8,   // family, port, four address words
  REG_EXTRA = 16, // further results
  REG_WORDS = 32,
  CLOCK_BYTE = 128, // two doubles: monotonic and real time in microseconds
  NUMBER_BYTE = 144, // two doubles: arguments and results beyond 32 bits
  IOV_BYTE = 256,
  IOV_PAIRS = 64,
  EVENT_BYTE = 768,
  EVENTS_MAX = 512, // triples of (events, index, generation)
  BLOCK_BYTES = 8192
};

extern int32_t *regs;
extern double *clock_words;
extern double *number_words;
extern int32_t *iov_words;
extern int32_t *event_words;

extern uint8_t *arena;
extern size_t arena_length;

/** Address of [offset, offset + length) in the arena, or NULL when any of it lies outside. */
static inline uint8_t *arena_range(int32_t offset, int32_t length) {
  if (offset < 0 || length < 0 || (uint64_t)offset + (uint64_t)length > arena_length) return NULL;
  return arena + offset;
}

/** Result of a system call that returned -1 on error. */
static inline int32_t outcome(long result) { return result < 0 ? -errno : (int32_t)result; }

void clock_monotonic(void);
void clock_both(void);

// arguments.c
bool read_arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values);
bool read_int(napi_env env, napi_value value, int32_t *out);
bool read_bytes(napi_env env, napi_value value, uint8_t **data, size_t *length);
bool read_ints(napi_env env, napi_value value, int32_t **data, size_t *length);
napi_value make_int(napi_env env, int32_t value);

typedef struct {
  const char *name;
  napi_callback call;
} native_function;

#define REGISTER_CALL(name) static napi_value name(napi_env env, napi_callback_info info)
#define VALUE_CALL(name) static napi_value name(napi_env env, napi_callback_info info)
#define END_OF_FUNCTIONS {NULL, NULL}

extern const native_function batch_functions[];
extern const native_function bridge_functions[];
extern const native_function epoll_functions[];
extern const native_function fdpass_functions[];
extern const native_function memory_functions[];
extern const native_function process_functions[];
extern const native_function register_functions[];
extern const native_function sandbox_functions[];
extern const native_function socket_functions[];

#endif
