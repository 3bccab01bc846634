// Processes: spawn with an exact set of descriptors, pidfds to watch, signal and reap, execve in place, limits.
// Between vfork and exec the child shares the parent's memory: it makes plain system calls only, and every signal is
// blocked in the parent until the child has replaced itself.
#include "native.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

enum { PASSED_MAX = 250, NEW_SESSION = 1, NO_CAPABILITIES = 2 };

typedef struct {
  const char *file;
  char **arguments;
  char **environment;
  const char *folder; // NULL: stay
  const int32_t *pairs; // (descriptor here, descriptor there)
  size_t pair_count;
  int32_t flags;
  struct sock_fprog filter; // empty: none
  volatile int error;
} spawn_plan;

// Bytes of NUL-terminated strings, one after the other, to a NULL-terminated vector; NULL when they are not that.
static char **make_vector(uint8_t *bytes, size_t length) {
  if (length > 0 && bytes[length - 1] != 0) return NULL;
  size_t count = 0;
  for (size_t i = 0; i < length; i++) count += bytes[i] == 0;
  char **vector = calloc(count + 1, sizeof *vector);
  if (vector == NULL) return NULL;
  size_t start = 0;
  size_t at = 0;
  for (size_t i = 0; i < length; i++) {
    if (bytes[i] != 0) continue;
    vector[at++] = (char *)bytes + start;
    start = i + 1;
  }
  return vector;
}

static bool read_text(napi_env env, napi_value value, const char **text) {
  uint8_t *data;
  size_t length;
  if (!read_bytes(env, value, &data, &length) || length == 0) return false;
  if (memchr(data, 0, length) != data + length - 1) return false;
  *text = (const char *)data;
  return true;
}

static void reset_signals(void) {
  struct sigaction standard;
  memset(&standard, 0, sizeof standard);
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL);
}

static int mark_all_cloexec(void) {
  if (syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return 0;
  if (errno != ENOSYS && errno != EINVAL) return -1;
  long most = sysconf(_SC_OPEN_MAX);
  for (int fd = 3; fd < most; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC);
  return 0;
}

// Node marks even 0, 1 and 2 close-on-exec at its start.
static void keep_standard_descriptors(void) {
  for (int fd = 0; fd <= 2; fd++) fcntl(fd, F_SETFD, 0);
}

// Moves every descriptor out of the way first, so that no target overwrites a source that is still needed.
static int place_descriptors(const spawn_plan *plan) {
  int moved[PASSED_MAX];
  int32_t highest = 2;
  for (size_t i = 0; i < plan->pair_count; i++) {
    if (plan->pairs[2 * i + 1] > highest) highest = plan->pairs[2 * i + 1];
  }
  for (size_t i = 0; i < plan->pair_count; i++) {
    moved[i] = fcntl(plan->pairs[2 * i], F_DUPFD_CLOEXEC, highest + 1);
    if (moved[i] < 0) return -1;
  }
  for (size_t i = 0; i < plan->pair_count; i++) {
    if (dup2(moved[i], plan->pairs[2 * i + 1]) < 0) return -1;
  }
  return 0;
}

// What the program may not even do at its start. A kernel that has none of this runs it all the same: the program finds
// out, and whoever starts it decides (src/os/sandbox.ts).
static void restrict_child(spawn_plan *plan) {
  if ((plan->flags & NO_CAPABILITIES) != 0) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (plan->filter.len == 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return;
  syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &plan->filter);
}

static void run_child(spawn_plan *plan) {
  sigset_t none;
  reset_signals();
  if ((plan->flags & NEW_SESSION) != 0) setsid();
  keep_standard_descriptors();
  if (mark_all_cloexec() == 0 && place_descriptors(plan) == 0 && (plan->folder == NULL || chdir(plan->folder) == 0)) {
    restrict_child(plan);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(plan->file, plan->arguments, plan->environment);
  }
  plan->error = errno;
  _exit(127);
}

// The process, or -errno; its pidfd goes to *pidfd.
static int32_t start_process(spawn_plan *plan, int *pidfd) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  plan->error = 0;
  pid_t pid = vfork();
  if (pid == 0) run_child(plan);
  int error = pid < 0 ? errno : plan->error;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (pid > 0 && error == 0) {
    *pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (*pidfd >= 0) return pid;
    error = errno;
    kill(pid, SIGKILL);
  }
  if (pid > 0) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  }
  return -error;
}

static bool valid_pairs(const int32_t *pairs, size_t length) {
  if (length % 2 != 0 || length / 2 > PASSED_MAX) return false;
  for (size_t i = 0; i < length; i += 2) {
    if (pairs[i] < 0 || pairs[i + 1] < 0 || pairs[i + 1] > 10000) return false;
  }
  return true;
}

static bool read_filter(napi_env env, napi_value value, struct sock_fprog *filter) {
  uint8_t *bytes;
  size_t length;
  if (!read_bytes(env, value, &bytes, &length) || length % sizeof(struct sock_filter) != 0) return false;
  if (length / sizeof(struct sock_filter) > BPF_MAXINSNS) return false;
  filter->len = (unsigned short)(length / sizeof(struct sock_filter));
  filter->filter = (struct sock_filter *)(void *)bytes;
  return true;
}

// (file, arguments, environment, folder or empty, pairs, flags, filter or empty): the process; its pidfd in the first further result.
VALUE_CALL(spawn_process) {
  napi_value values[7];
  uint8_t *arguments, *environment, *folder;
  size_t arguments_length, environment_length, folder_length, pairs_length;
  int32_t *pairs;
  spawn_plan plan = {0};
  if (!read_arguments(env, info, 7, values) || !read_text(env, values[0], &plan.file)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[1], &arguments, &arguments_length)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[2], &environment, &environment_length)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[3], &folder, &folder_length)) return make_int(env, -EINVAL);
  if (folder_length > 0 && !read_text(env, values[3], &plan.folder)) return make_int(env, -EINVAL);
  if (!read_ints(env, values[4], &pairs, &pairs_length) || !valid_pairs(pairs, pairs_length)) {
    return make_int(env, -EINVAL);
  }
  if (!read_int(env, values[5], &plan.flags)) return make_int(env, -EINVAL);
  if (!read_filter(env, values[6], &plan.filter)) return make_int(env, -EINVAL);
  plan.pairs = pairs;
  plan.pair_count = pairs_length / 2;
  plan.arguments = make_vector(arguments, arguments_length);
  plan.environment = make_vector(environment, environment_length);
  int32_t result = -EINVAL;
  int pidfd = -1;
  if (plan.arguments != NULL && plan.environment != NULL) result = start_process(&plan, &pidfd);
  free(plan.arguments);
  free(plan.environment);
  regs[REG_EXTRA] = pidfd;
  return make_int(env, result);
}

// (file, arguments, environment): returns only on failure. SIGPIPE, which Node ignores, is put back to its default,
// for what is ignored stays ignored over exec; caught signals go back by themselves.
VALUE_CALL(replace_process) {
  napi_value values[3];
  const char *file;
  uint8_t *arguments, *environment;
  size_t arguments_length, environment_length;
  if (!read_arguments(env, info, 3, values) || !read_text(env, values[0], &file)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[1], &arguments, &arguments_length)) return make_int(env, -EINVAL);
  if (!read_bytes(env, values[2], &environment, &environment_length)) return make_int(env, -EINVAL);
  char **argument_vector = make_vector(arguments, arguments_length);
  char **environment_vector = make_vector(environment, environment_length);
  int32_t result = -EINVAL;
  if (argument_vector != NULL && environment_vector != NULL) {
    struct sigaction standard, before;
    memset(&standard, 0, sizeof standard);
    standard.sa_handler = SIG_DFL;
    sigaction(SIGPIPE, &standard, &before);
    keep_standard_descriptors();
    execve(file, argument_vector, environment_vector);
    result = -errno;
    sigaction(SIGPIPE, &before, NULL);
  }
  free(argument_vector);
  free(environment_vector);
  return make_int(env, result);
}

// (pidfd): 0 still running, 1 ended; further results: how (CLD_EXITED, CLD_KILLED, CLD_DUMPED), status
REGISTER_CALL(wait_process) {
  siginfo_t status;
  memset(&status, 0, sizeof status);
  int result;
  do {
    result = waitid((idtype_t)P_PIDFD, (id_t)regs[REG_A], &status, WEXITED | WNOHANG);
  } while (result < 0 && errno == EINTR);
  if (result < 0) {
    regs[REG_RESULT] = -errno;
    return NULL;
  }
  regs[REG_RESULT] = status.si_pid != 0;
  regs[REG_EXTRA] = status.si_code == CLD_EXITED ? 0 : 1;
  regs[REG_EXTRA + 1] = status.si_status;
  return NULL;
}

REGISTER_CALL(signal_process) {
  regs[REG_RESULT] = outcome(syscall(SYS_pidfd_send_signal, regs[REG_A], regs[REG_B], NULL, 0));
  return NULL;
}

// (signal): this thread takes it again.
REGISTER_CALL(unblock_signal) {
  sigset_t one;
  sigemptyset(&one);
  if (sigaddset(&one, regs[REG_A]) < 0) {
    regs[REG_RESULT] = -errno;
    return NULL;
  }
  regs[REG_RESULT] = -pthread_sigmask(SIG_UNBLOCK, &one, NULL);
  return NULL;
}

REGISTER_CALL(open_pidfd) {
  regs[REG_RESULT] = outcome(syscall(SYS_pidfd_open, regs[REG_A], 0));
  return NULL;
}

REGISTER_CALL(set_cloexec) {
  regs[REG_RESULT] = outcome(fcntl(regs[REG_A], F_SETFD, regs[REG_B] != 0 ? FD_CLOEXEC : 0));
  return NULL;
}

REGISTER_CALL(get_cloexec) {
  int flags = fcntl(regs[REG_A], F_GETFD);
  regs[REG_RESULT] = flags < 0 ? -errno : (flags & FD_CLOEXEC) != 0;
  return NULL;
}

REGISTER_CALL(set_nonblocking) {
  int flags = fcntl(regs[REG_A], F_GETFL);
  if (flags < 0) {
    regs[REG_RESULT] = -errno;
    return NULL;
  }
  int wanted = regs[REG_B] != 0 ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  regs[REG_RESULT] = outcome(fcntl(regs[REG_A], F_SETFL, wanted));
  return NULL;
}

REGISTER_CALL(duplicate) {
  regs[REG_RESULT] = outcome(fcntl(regs[REG_A], F_DUPFD_CLOEXEC, 3));
  return NULL;
}

static double limit_number(rlim_t value) { return value == RLIM_INFINITY ? -1 : (double)value; }

// The soft and the hard limit of open descriptors into the two numbers; -1 is "no limit".
REGISTER_CALL(get_nofile) {
  struct rlimit limit;
  int result = getrlimit(RLIMIT_NOFILE, &limit);
  regs[REG_RESULT] = outcome(result);
  if (result == 0) {
    number_words[0] = limit_number(limit.rlim_cur);
    number_words[1] = limit_number(limit.rlim_max);
  }
  return NULL;
}

REGISTER_CALL(set_nofile) {
  struct rlimit limit;
  double soft = number_words[0];
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
    regs[REG_RESULT] = -errno;
    return NULL;
  }
  if (!(soft >= 0 && soft <= 1e15)) {
    regs[REG_RESULT] = -EINVAL;
    return NULL;
  }
  limit.rlim_cur = (rlim_t)soft;
  regs[REG_RESULT] = outcome(setrlimit(RLIMIT_NOFILE, &limit));
  return NULL;
}

const native_function process_functions[] = {
    {"spawn", spawn_process},
    {"execve", replace_process},
    {"waitProcess", wait_process},
    {"signalProcess", signal_process},
    {"unblockSignal", unblock_signal},
    {"openPidfd", open_pidfd},
    {"setCloexec", set_cloexec},
    {"getCloexec", get_cloexec},
    {"setNonblocking", set_nonblocking},
    {"dup", duplicate},
    {"getNofile", get_nofile},
    {"setNofile", set_nofile},
    END_OF_FUNCTIONS,
};
