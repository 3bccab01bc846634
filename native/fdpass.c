// Descriptors over unix sockets (SCM_RIGHTS). Received ones are close-on-exec. More than asked for, a truncated control
// message or a truncated packet closes everything that came and is -EMSGSIZE: no descriptor can leak in.
#include "native.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PASSED_MAX = 200 };

typedef union {
  struct cmsghdr header;
  char bytes[CMSG_SPACE(sizeof(int) * PASSED_MAX)];
} control_buffer;

// (fd, data, descriptors): bytes sent. At least one byte is needed to carry descriptors.
VALUE_CALL(send_fds) {
  napi_value values[3];
  int32_t fd;
  uint8_t *data;
  int32_t *passed;
  size_t length, count;
  if (!read_arguments(env, info, 3, values) || !read_int(env, values[0], &fd)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[1], &data, &length)) return make_int(env, -EINVAL);
  if (!read_ints(env, values[2], &passed, &count)) return make_int(env, -EINVAL);
  if (count > PASSED_MAX || (count > 0 && length == 0)) return make_int(env, -EINVAL);
  control_buffer control;
  memset(&control, 0, sizeof control);
  struct iovec part = {.iov_base = data, .iov_len = length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(header), passed, sizeof(int) * count);
  }
  ssize_t result;
  do {
    result = sendmsg(fd, &message, MSG_NOSIGNAL);
  } while (result < 0 && errno == EINTR);
  return make_int(env, outcome(result));
}

static size_t collect(struct msghdr *message, int *found) {
  size_t count = 0;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < here && count < PASSED_MAX; i++) {
      memcpy(&found[count++], CMSG_DATA(header) + i * sizeof(int), sizeof(int));
    }
  }
  return count;
}

// Bytes received or -errno; the number of descriptors goes to the first further result.
static int32_t receive(int fd, uint8_t *data, size_t length, int32_t *out, size_t most) {
  control_buffer control;
  struct iovec part = {.iov_base = data, .iov_len = length};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  regs[REG_EXTRA] = 0;
  ssize_t result;
  do {
    // Not recvmsg(): see plain_recv in sockets.c.
    result = syscall(SYS_recvmsg, fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return -errno;
  if (message.msg_controllen == 0 && (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0) return (int32_t)result;
  int found[PASSED_MAX];
  size_t count = collect(&message, found);
  if (count > most || (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) != 0) {
    for (size_t i = 0; i < count; i++) close(found[i]);
    return -EMSGSIZE;
  }
  for (size_t i = 0; i < count; i++) out[i] = found[i];
  regs[REG_EXTRA] = (int32_t)count;
  return (int32_t)result;
}

// (fd, data, descriptors): the length of `descriptors` is the most that is accepted.
VALUE_CALL(recv_fds) {
  napi_value values[3];
  int32_t fd;
  uint8_t *data;
  int32_t *out;
  size_t length, most;
  if (!read_arguments(env, info, 3, values) || !read_int(env, values[0], &fd)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[1], &data, &length)) return make_int(env, -EINVAL);
  if (!read_ints(env, values[2], &out, &most) || most > PASSED_MAX) return make_int(env, -EINVAL);
  return make_int(env, receive(fd, data, length, out, most));
}

// (fd, offset, length, most descriptors): the same into the arena; descriptors go to the words of spans.
REGISTER_CALL(hot_receive_packet) {
  uint8_t *data = arena_range(regs[REG_B], regs[REG_C]);
  int32_t most = regs[REG_D];
  if (data == NULL) regs[REG_RESULT] = -EFAULT;
  else if (most < 0 || most > 2 * IOV_PAIRS) regs[REG_RESULT] = -EINVAL;
  else regs[REG_RESULT] = receive(regs[REG_A], data, (size_t)regs[REG_C], iov_words, (size_t)most);
  return NULL;
}

const native_function fdpass_functions[] = {
    {"sendFds", send_fds},
    {"recvFds", recv_fds},
    {"recvPacket", hot_receive_packet},
    END_OF_FUNCTIONS,
};
