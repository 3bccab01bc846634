// What a process gives up for good: new privileges, core dumps, system calls. Which calls a filter refuses is not known
// here: the program comes from TypeScript (src/os/sandbox.ts), and the kernel checks it.
#include "native.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif

enum { KEEP_PLAIN = 0, LOG_REFUSALS = 1 };

// (): neither this process nor what it executes ever gains privileges.
REGISTER_CALL(give_up_privileges) {
  regs[REG_RESULT] = outcome(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  return NULL;
}

// (on): whether this process may be dumped, traced and looked into by others of the same user. Exec puts it back.
REGISTER_CALL(set_dumpable) {
  regs[REG_RESULT] = outcome(prctl(PR_SET_DUMPABLE, regs[REG_A] != 0, 0, 0, 0));
  return NULL;
}

// (bytes): the most a core dump of this process and its children may have, hard limit included.
REGISTER_CALL(limit_core) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_CORE, &limit) < 0) {
    regs[REG_RESULT] = -errno;
    return NULL;
  }
  rlim_t most = (rlim_t)(regs[REG_A] < 0 ? 0 : regs[REG_A]);
  limit.rlim_max = most < limit.rlim_max ? most : limit.rlim_max;
  limit.rlim_cur = limit.rlim_max;
  regs[REG_RESULT] = outcome(setrlimit(RLIMIT_CORE, &limit));
  return NULL;
}

// (action): 0 when the kernel knows filters and this action of theirs, else -EOPNOTSUPP or -ENOSYS. Changes nothing.
REGISTER_CALL(filter_action) {
  uint32_t action = (uint32_t)regs[REG_A];
  regs[REG_RESULT] = outcome(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
  return NULL;
}

// (): 0 when this process cannot have an io_uring, -EBUSY when it may: its calls would pass by every filter.
REGISTER_CALL(ring_obstacle) {
  long result = syscall(SYS_io_uring_setup, 0, NULL);
  if (result >= 0) close((int)result);
  regs[REG_RESULT] = result < 0 && (errno == ENOSYS || errno == EPERM) ? 0 : -EBUSY;
  return NULL;
}

static long install(const struct sock_fprog *program, unsigned long flags) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
}

// (program, mode): binds every thread of this process (TSYNC). Privileges must have been given up before. -EBUSY: a
// thread has a filter of its own. Older kernels know neither the log of refusals nor the flag that keeps speculation as
// fast as without a filter: both are given up before the filter is.
VALUE_CALL(install_filter) {
  napi_value values[2];
  uint8_t *bytes;
  size_t length;
  int32_t mode;
  if (!read_arguments(env, info, 2, values) || !read_bytes(env, values[0], &bytes, &length)) {
    return make_int(env, -EINVAL);
  }
  size_t count = length / sizeof(struct sock_filter);
  if (count == 0 || count > BPF_MAXINSNS || length % sizeof(struct sock_filter) != 0) return make_int(env, -EINVAL);
  if (!read_int(env, values[1], &mode) || mode < KEEP_PLAIN || mode > LOG_REFUSALS) return make_int(env, -EINVAL);
  struct sock_fprog program = {.len = (unsigned short)count, .filter = (struct sock_filter *)(void *)bytes};
  unsigned long log = mode == LOG_REFUSALS ? SECCOMP_FILTER_FLAG_LOG : 0;
  const unsigned long tries[] = {log | SECCOMP_FILTER_FLAG_SPEC_ALLOW, log, 0};
  long result = -1;
  for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
    result = install(&program, tries[i] | SECCOMP_FILTER_FLAG_TSYNC);
    if (result >= 0 || errno != EINVAL) break;
  }
  // A positive result is the thread that cannot follow.
  return make_int(env, result > 0 ? -EBUSY : outcome(result));
}

const native_function sandbox_functions[] = {
    {"giveUpPrivileges", give_up_privileges},
    {"setDumpable", set_dumpable},
    {"limitCore", limit_core},
    {"filterAction", filter_action},
    {"ringObstacle", ring_obstacle},
    {"installFilter", install_filter},
    END_OF_FUNCTIONS,
};
