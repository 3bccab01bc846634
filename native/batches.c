// Batches of log lines into sockets, from memory outside the arena. Never blocks, whatever the flags of the descriptor.
#include "native.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DATAGRAMS_MAX = 64 };

// (fd, bytes, from, to, lines)
static bool read_range(napi_env env, napi_callback_info info, int32_t *fd, uint8_t **data, size_t *length,
                       int32_t *lines) {
  napi_value values[5];
  int32_t from, to;
  if (!read_arguments(env, info, 5, values) || !read_int(env, values[0], fd)) return false;
  if (!read_bytes(env, values[1], data, length) || !read_int(env, values[4], lines)) return false;
  if (!read_int(env, values[2], &from) || !read_int(env, values[3], &to)) return false;
  if (from < 0 || to <= from || (size_t)to > *length) return false;
  *data += from;
  *length = (size_t)(to - from);
  return true;
}

static size_t line_length(const uint8_t *data, size_t length) {
  const uint8_t *end = memchr(data, '\n', length);
  return end == NULL ? length : (size_t)(end - data) + 1;
}

// A varint, as many bytes, and two zeros.
static size_t record_length(const uint8_t *data, size_t length) {
  size_t size = 0;
  for (size_t i = 0; i < length && i < 4; i++) {
    size |= (size_t)(data[i] & 0x7f) << (7 * i);
    if (data[i] < 0x80) return size + i + 3 < length ? size + i + 3 : length;
  }
  return length;
}

// (fd, bytes, from, to, lines): one datagram a line (its line feed included) or a record, at most 64. The bytes of those
// that were taken.
VALUE_CALL(send_datagrams) {
  int32_t fd, lines;
  uint8_t *data;
  size_t length;
  if (!read_range(env, info, &fd, &data, &length, &lines)) return make_int(env, -EINVAL);
  struct mmsghdr messages[DATAGRAMS_MAX];
  struct iovec parts[DATAGRAMS_MAX];
  memset(messages, 0, sizeof messages);
  unsigned int count = 0;
  while (length > 0 && count < DATAGRAMS_MAX) {
    size_t size = lines != 0 ? line_length(data, length) : record_length(data, length);
    parts[count] = (struct iovec){.iov_base = data, .iov_len = size};
    messages[count].msg_hdr.msg_iov = &parts[count];
    messages[count].msg_hdr.msg_iovlen = 1;
    count++;
    data += size;
    length -= size;
  }
  long sent;
  do {
    sent = syscall(SYS_sendmmsg, fd, messages, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return make_int(env, -errno);
  size_t taken = 0;
  for (long i = 0; i < sent; i++) taken += parts[i].iov_len;
  return make_int(env, (int32_t)taken);
}

// (fd, bytes, from, to, any): into a stream. -EPIPE also when the peer has closed, which a send would only show later.
VALUE_CALL(send_stream) {
  int32_t fd, lines;
  uint8_t *data;
  size_t length;
  uint8_t byte;
  if (!read_range(env, info, &fd, &data, &length, &lines)) return make_int(env, -EINVAL);
  long result = syscall(SYS_recvfrom, fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL);
  if (result == 0) return make_int(env, -EPIPE);
  if (result < 0 && errno != EAGAIN && errno != EINTR) return make_int(env, -errno);
  do {
    result = syscall(SYS_sendto, fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
  } while (result < 0 && errno == EINTR);
  return make_int(env, outcome(result));
}

const native_function batch_functions[] = {
    {"sendDatagrams", send_datagrams},
    {"sendStream", send_stream},
    END_OF_FUNCTIONS,
};
