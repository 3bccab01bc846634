// Memory beyond JavaScript's own: anonymous maps for the arena, memfds shared between processes, and giving pages back.
#include "native.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

static void unmap(napi_env env, void *data, void *hint) { munmap(data, (size_t)(uintptr_t)hint); }

static napi_value wrap_map(napi_env env, void *data, size_t length) {
  napi_value result;
  void *hint = (void *)(uintptr_t)length;
  if (napi_create_external_arraybuffer(env, data, length, unmap, hint, &result) != napi_ok) {
    munmap(data, length);
    return make_int(env, -ENOTSUP);
  }
  return result;
}

static bool read_length(napi_env env, napi_value value, size_t *length) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) return false;
  if (!(number >= 1 && number <= 1099511627776.0)) return false;
  *length = (size_t)number;
  return true;
}

// (bytes): zeroed memory whose pages are committed when first touched: an ArrayBuffer, or -errno.
VALUE_CALL(map_anonymous) {
  napi_value value;
  size_t length;
  if (!read_arguments(env, info, 1, &value) || !read_length(env, value, &length)) return make_int(env, -EINVAL);
  void *data = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) return make_int(env, -errno);
  madvise(data, length, MADV_NOHUGEPAGE);
  return wrap_map(env, data, length);
}

// The plain call: the C library's takes a path, if only an empty one, and workers may make no call with a path.
static int status_of(int fd, struct stat *status) { return (int)syscall(SYS_fstat, fd, status); }

// (fd, bytes): shared memory as an ArrayBuffer, or -errno. The file must hold that much: beyond its end is SIGBUS.
VALUE_CALL(map_shared) {
  napi_value values[2];
  int32_t fd;
  size_t length;
  struct stat status;
  if (!read_arguments(env, info, 2, values)) return make_int(env, -EINVAL);
  if (!read_int(env, values[0], &fd) || !read_length(env, values[1], &length)) return make_int(env, -EINVAL);
  if (status_of(fd, &status) < 0) return make_int(env, -errno);
  if (status.st_size < 0 || (uint64_t)status.st_size < length) return make_int(env, -EINVAL);
  void *data = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return make_int(env, -errno);
  return wrap_map(env, data, length);
}

// (offset, length) of the arena: the whole pages inside are given back and read as zeros afterwards.
REGISTER_CALL(release_pages) {
  uint8_t *data = arena_range(regs[REG_A], regs[REG_B]);
  if (data == NULL) {
    regs[REG_RESULT] = -EFAULT;
    return NULL;
  }
  uintptr_t from = ((uintptr_t)data + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  uintptr_t to = ((uintptr_t)data + (uintptr_t)regs[REG_B]) & ~(uintptr_t)(PAGE - 1);
  regs[REG_RESULT] = from < to ? outcome(madvise((void *)from, to - from, MADV_DONTNEED)) : 0;
  return NULL;
}

// (name as NUL-terminated bytes): a descriptor
VALUE_CALL(create_memfd) {
  napi_value value;
  uint8_t *name;
  size_t length;
  if (!read_arguments(env, info, 1, &value) || !read_bytes(env, value, &name, &length)) return make_int(env, -EINVAL);
  if (length == 0 || name[length - 1] != 0) return make_int(env, -EINVAL);
  return make_int(env, outcome(memfd_create((const char *)name, MFD_CLOEXEC)));
}

// (fd), size in the first number
REGISTER_CALL(truncate_file) {
  double size = number_words[0];
  if (!(size >= 0 && size <= 1099511627776.0)) {
    regs[REG_RESULT] = -EINVAL;
    return NULL;
  }
  regs[REG_RESULT] = outcome(ftruncate(regs[REG_A], (off_t)size));
  return NULL;
}

REGISTER_CALL(file_size) {
  struct stat status;
  int result = status_of(regs[REG_A], &status);
  regs[REG_RESULT] = outcome(result);
  number_words[0] = result == 0 ? (double)status.st_size : 0;
  return NULL;
}

const native_function memory_functions[] = {
    {"mapAnonymous", map_anonymous},
    {"mapShared", map_shared},
    {"releasePages", release_pages},
    {"memfd", create_memfd},
    {"truncate", truncate_file},
    {"fileSize", file_size},
    END_OF_FUNCTIONS,
};
