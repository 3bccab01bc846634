// Sockets: one system call per function. The byte path (recv, send, writev, accept, connect, close) uses registers.
#include "native.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define RETRY(result, call)                   \
  do {                                        \
    result = (call);                          \
  } while (result < 0 && errno == EINTR)

// recv, send and sendmsg of libc are cancellation points: in a process with threads (Node's pool) each call switches the
// kind of cancellation on and off, 90 instructions. syscall() is the plain call, with the same errno.
static ssize_t plain_recv(int fd, void *data, size_t length, int flags) {
  return syscall(SYS_recvfrom, fd, data, length, flags, NULL, NULL);
}

static ssize_t plain_send(int fd, const void *data, size_t length, int flags) {
  return syscall(SYS_sendto, fd, data, length, flags, NULL, 0);
}

static void receive(int flags) {
  uint8_t *data = arena_range(regs[REG_B], regs[REG_C]);
  if (data == NULL) {
    regs[REG_RESULT] = -EFAULT;
    return;
  }
  ssize_t result;
  RETRY(result, plain_recv(regs[REG_A], data, (size_t)regs[REG_C], flags));
  regs[REG_RESULT] = outcome(result);
}

REGISTER_CALL(hot_recv) {
  receive(0);
  clock_monotonic();
  return NULL;
}

REGISTER_CALL(hot_peek) {
  receive(MSG_PEEK | MSG_DONTWAIT);
  return NULL;
}

REGISTER_CALL(hot_send) {
  uint8_t *data = arena_range(regs[REG_B], regs[REG_C]);
  if (data == NULL) {
    regs[REG_RESULT] = -EFAULT;
    return NULL;
  }
  ssize_t result;
  RETRY(result, plain_send(regs[REG_A], data, (size_t)regs[REG_C], MSG_NOSIGNAL));
  regs[REG_RESULT] = outcome(result);
  clock_monotonic();
  return NULL;
}

REGISTER_CALL(hot_writev) {
  struct iovec parts[IOV_PAIRS];
  int32_t count = regs[REG_B];
  if (count < 0 || count > IOV_PAIRS) {
    regs[REG_RESULT] = -EINVAL;
    return NULL;
  }
  for (int32_t i = 0; i < count; i++) {
    parts[i].iov_base = arena_range(iov_words[2 * i], iov_words[2 * i + 1]);
    if (parts[i].iov_base == NULL) {
      regs[REG_RESULT] = -EFAULT;
      return NULL;
    }
    parts[i].iov_len = (size_t)iov_words[2 * i + 1];
  }
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
  ssize_t result;
  RETRY(result, syscall(SYS_sendmsg, regs[REG_A], &message, MSG_NOSIGNAL));
  regs[REG_RESULT] = outcome(result);
  clock_monotonic();
  return NULL;
}

// Family 0 (unix or unknown), 4 or 6; an IPv4-mapped IPv6 address is given as IPv4.
static void store_peer(const struct sockaddr_storage *address) {
  int32_t *peer = regs + REG_PEER;
  memset(peer, 0, 6 * sizeof(int32_t));
  if (address->ss_family == AF_INET) {
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    peer[0] = 4;
    peer[1] = ntohs(in->sin_port);
    peer[2] = (int32_t)ntohl(in->sin_addr.s_addr);
  } else if (address->ss_family == AF_INET6) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    uint32_t words[4];
    memcpy(words, &in6->sin6_addr, sizeof words);
    peer[1] = ntohs(in6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
      peer[0] = 4;
      peer[2] = (int32_t)ntohl(words[3]);
      return;
    }
    peer[0] = 6;
    for (int i = 0; i < 4; i++) peer[2 + i] = (int32_t)ntohl(words[i]);
  }
}

REGISTER_CALL(hot_accept) {
  struct sockaddr_storage address;
  address.ss_family = AF_UNSPEC;
  socklen_t length = sizeof address;
  int result;
  RETRY(result, accept4(regs[REG_A], (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
  regs[REG_RESULT] = outcome(result);
  if (result >= 0) store_peer(&address);
  clock_monotonic();
  return NULL;
}

// Linux has closed the descriptor even when close reports EINTR: it must not be tried again.
REGISTER_CALL(hot_close) {
  int result = close(regs[REG_A]);
  regs[REG_RESULT] = result < 0 && errno != EINTR ? -errno : 0;
  return NULL;
}

REGISTER_CALL(hot_connect) {
  uint8_t *address = arena_range(regs[REG_B], regs[REG_C]);
  if (address == NULL || regs[REG_C] < (int32_t)sizeof(sa_family_t)) {
    regs[REG_RESULT] = -EFAULT;
    return NULL;
  }
  struct sockaddr_storage copy = {0};
  if ((size_t)regs[REG_C] > sizeof copy) {
    regs[REG_RESULT] = -EINVAL;
    return NULL;
  }
  memcpy(&copy, address, (size_t)regs[REG_C]);
  int result;
  RETRY(result, connect(regs[REG_A], (struct sockaddr *)&copy, (socklen_t)regs[REG_C]));
  regs[REG_RESULT] = outcome(result);
  clock_monotonic();
  return NULL;
}

REGISTER_CALL(hot_shutdown) {
  regs[REG_RESULT] = outcome(shutdown(regs[REG_A], regs[REG_B]));
  return NULL;
}

REGISTER_CALL(open_socket) {
  regs[REG_RESULT] = outcome(socket(regs[REG_A], regs[REG_B] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return NULL;
}

REGISTER_CALL(listen_socket) {
  regs[REG_RESULT] = outcome(listen(regs[REG_A], regs[REG_B]));
  return NULL;
}

REGISTER_CALL(set_option) {
  int value = regs[REG_D];
  regs[REG_RESULT] = outcome(setsockopt(regs[REG_A], regs[REG_B], regs[REG_C], &value, sizeof value));
  return NULL;
}

REGISTER_CALL(get_option) {
  int value = 0;
  socklen_t length = sizeof value;
  regs[REG_RESULT] = outcome(getsockopt(regs[REG_A], regs[REG_B], regs[REG_C], &value, &length));
  regs[REG_EXTRA] = value;
  return NULL;
}

REGISTER_CALL(set_linger) {
  struct linger linger = {.l_onoff = regs[REG_B] >= 0, .l_linger = regs[REG_B] >= 0 ? regs[REG_B] : 0};
  regs[REG_RESULT] = outcome(setsockopt(regs[REG_A], SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
  return NULL;
}

REGISTER_CALL(tcp_round_trip) {
  struct tcp_info tcp;
  memset(&tcp, 0, sizeof tcp);
  socklen_t length = sizeof tcp;
  int result = getsockopt(regs[REG_A], IPPROTO_TCP, TCP_INFO, &tcp, &length);
  regs[REG_RESULT] = result < 0 ? -errno : (int32_t)(tcp.tcpi_rtt & 0x7fffffff);
  regs[REG_EXTRA] = (int32_t)(tcp.tcpi_last_ack_recv & 0x7fffffff);
  // For a listening socket: the connections that wait to be accepted.
  regs[REG_EXTRA + 1] = (int32_t)(tcp.tcpi_unacked & 0x7fffffff);
  return NULL;
}

REGISTER_CALL(bytes_queued) {
  int queued = 0;
  int result = ioctl(regs[REG_A], regs[REG_B] != 0 ? TIOCOUTQ : FIONREAD, &queued);
  regs[REG_RESULT] = result < 0 ? -errno : queued;
  return NULL;
}

REGISTER_CALL(open_socketpair) {
  int pair[2];
  int result = socketpair(AF_UNIX, regs[REG_A] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
  regs[REG_RESULT] = outcome(result);
  if (result == 0) {
    regs[REG_EXTRA] = pair[0];
    regs[REG_EXTRA + 1] = pair[1];
  }
  return NULL;
}

REGISTER_CALL(peer_credentials) {
  struct ucred credentials;
  socklen_t length = sizeof credentials;
  int result = getsockopt(regs[REG_A], SOL_SOCKET, SO_PEERCRED, &credentials, &length);
  regs[REG_RESULT] = outcome(result);
  if (result == 0) {
    regs[REG_EXTRA] = credentials.pid;
    regs[REG_EXTRA + 1] = (int32_t)credentials.uid;
    regs[REG_EXTRA + 2] = (int32_t)credentials.gid;
  }
  return NULL;
}

REGISTER_CALL(change_mode) {
  regs[REG_RESULT] = outcome(fchmod(regs[REG_A], (mode_t)regs[REG_B]));
  return NULL;
}

// (fd, sockaddr) of bind and connect: false for anything else
static bool read_address(napi_env env, napi_callback_info info, int32_t *fd, struct sockaddr_storage *address,
                         socklen_t *length) {
  napi_value values[2];
  uint8_t *data;
  size_t size;
  if (!read_arguments(env, info, 2, values) || !read_int(env, values[0], fd)) return false;
  if (!read_bytes(env, values[1], &data, &size)) return false;
  if (size < sizeof(sa_family_t) || size > sizeof *address) return false;
  memset(address, 0, sizeof *address);
  memcpy(address, data, size);
  *length = (socklen_t)size;
  return true;
}

VALUE_CALL(bind_socket) {
  int32_t fd;
  struct sockaddr_storage address;
  socklen_t length;
  if (!read_address(env, info, &fd, &address, &length)) return make_int(env, -EINVAL);
  return make_int(env, outcome(bind(fd, (struct sockaddr *)&address, length)));
}

VALUE_CALL(connect_socket) {
  int32_t fd;
  struct sockaddr_storage address;
  socklen_t length;
  if (!read_address(env, info, &fd, &address, &length)) return make_int(env, -EINVAL);
  int result;
  RETRY(result, connect(fd, (struct sockaddr *)&address, length));
  return make_int(env, outcome(result));
}

// (fd, bytes, peer): the raw sockaddr into `bytes`; its length, or -errno. -ENOBUFS when it does not fit.
VALUE_CALL(socket_name) {
  napi_value values[3];
  int32_t fd, peer;
  uint8_t *data;
  size_t length;
  if (!read_arguments(env, info, 3, values)) return make_int(env, -EINVAL);
  if (!read_int(env, values[0], &fd) || !read_bytes(env, values[1], &data, &length)) return make_int(env, -EINVAL);
  if (!read_int(env, values[2], &peer)) return make_int(env, -EINVAL);
  struct sockaddr_storage address;
  socklen_t size = sizeof address;
  int result = peer != 0 ? getpeername(fd, (struct sockaddr *)&address, &size)
                         : getsockname(fd, (struct sockaddr *)&address, &size);
  if (result < 0) return make_int(env, -errno);
  if (size > length || size > sizeof address) return make_int(env, -ENOBUFS);
  memcpy(data, &address, size);
  return make_int(env, (int32_t)size);
}

static struct sock_filter filter(uint16_t code, uint8_t jump_true, uint8_t jump_false, uint32_t value) {
  return (struct sock_filter){.code = code, .jt = jump_true, .jf = jump_false, .k = value};
}

// (fd, indexes): new connections of the SO_REUSEPORT group of fd go to the sockets with these positions in the group,
// evenly at random; an empty list removes the program, and the kernel's hash over all of them decides again.
VALUE_CALL(steer_reuseport) {
  enum { TARGETS_MAX = 1000 };
  struct sock_filter code[2 * TARGETS_MAX + 3];
  napi_value values[2];
  int32_t fd;
  int32_t *targets;
  size_t count;
  if (!read_arguments(env, info, 2, values)) return make_int(env, -EINVAL);
  if (!read_int(env, values[0], &fd) || !read_ints(env, values[1], &targets, &count)) return make_int(env, -EINVAL);
  if (count > TARGETS_MAX) return make_int(env, -EINVAL);
  if (count == 0) {
    int none = 0;
    return make_int(env, outcome(setsockopt(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none, sizeof none)));
  }
  size_t at = 0;
  code[at++] = filter(BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
  code[at++] = filter(BPF_ALU | BPF_MOD | BPF_K, 0, 0, (uint32_t)count);
  for (size_t i = 0; i < count; i++) {
    code[at++] = filter(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)i);
    code[at++] = filter(BPF_RET | BPF_K, 0, 0, (uint32_t)targets[i]);
  }
  code[at++] = filter(BPF_RET | BPF_K, 0, 0, (uint32_t)targets[0]);
  struct sock_fprog program = {.len = (unsigned short)at, .filter = code};
  return make_int(env, outcome(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program)));
}

const native_function socket_functions[] = {
    {"recv", hot_recv},
    {"peek", hot_peek},
    {"send", hot_send},
    {"writev", hot_writev},
    {"accept", hot_accept},
    {"close", hot_close},
    {"connect", hot_connect},
    {"shutdown", hot_shutdown},
    {"socket", open_socket},
    {"listen", listen_socket},
    {"setOption", set_option},
    {"getOption", get_option},
    {"setLinger", set_linger},
    {"tcpRoundTrip", tcp_round_trip},
    {"bytesQueued", bytes_queued},
    {"socketpair", open_socketpair},
    {"peerCredentials", peer_credentials},
    {"changeMode", change_mode},
    {"bind", bind_socket},
    {"connectTo", connect_socket},
    {"socketName", socket_name},
    {"steerReuseport", steer_reuseport},
    END_OF_FUNCTIONS,
};
