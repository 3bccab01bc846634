// The system calls that a worker may make once it serves, with their numbers on both architectures and, where a call can
// do more than a worker needs, the arguments it may have. Whatever is not here is refused: what takes a path, starts a
// program, makes another kind of socket, looks into or signals another process. docs/sandbox.md says the same in
// words; a test compares the two. A new native call that workers use needs a line here.

/** A condition on one half of an argument: `(half & mask)` is one of `values`. */
export interface Condition {
  /** 0 to 5. */
  readonly argument: number;
  /** The upper 32 bits of the argument instead of the lower ones. */
  readonly high: boolean;
  readonly mask: number;
  /** OWN_PID stands for the pid of the process. */
  readonly values: readonly number[];
}

/** A call that is allowed. */
export interface AllowedCall {
  readonly name: string;
  readonly group: string;
  /** Its number, -1 where the architecture has no such call. */
  readonly x64: number;
  readonly arm64: number;
  /** All must hold; none: any arguments. */
  readonly when: readonly Condition[];
}

/** Stands in a condition for the pid of the process that the filter is made for. */
export const OWN_PID = -1;
/**
 * Calls from this number on came after Linux 5.2 and have the same number everywhere. Every C library manages without
 * them, so they answer ENOSYS, as on an older kernel: EPERM from clone3 would end Node.
 */
export const RECENT_CALLS = 435;

const ALL_BITS = 0xffffffff;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
/** Without SOCK_NONBLOCK and SOCK_CLOEXEC. */
const SOCK_TYPE_MASK = 0xf;
/** Duplicates, flags of descriptor and file. F_SETOWN and F_SETSIG could send any signal to another process. */
const FCNTL_COMMANDS = [0, 1, 2, 3, 4, 1030];
/** FIONBIO, FIOCLEX, FIONREAD, TIOCOUTQ, TCGETS. TIOCSTI types into a terminal, FIOSETOWN is F_SETOWN. */
const IOCTL_COMMANDS = [0x5421, 0x5451, 0x541b, 0x5411, 0x5401];
/** CLONE_VM, CLONE_SIGHAND, CLONE_THREAD: a thread, never a process. */
const THREAD_FLAGS = 0x100 | 0x800 | 0x10000;
/** Those, CLONE_PTRACE, CLONE_PARENT and every CLONE_NEW*. */
const THREAD_MASK = THREAD_FLAGS | 0x2000 | 0x8000 | 0x7e020000;
const PR_SET_NAME = 15;
const PR_GET_NAME = 16;
const PR_SET_VMA = 0x53564d41;

/** The table. */
export const ALLOWED_CALLS: readonly AllowedCall[] = [
  ...group("descriptors", [
    ["read", 0, 63],
    ["write", 1, 64],
    ["readv", 19, 65],
    ["writev", 20, 66],
    ["pread64", 17, 67],
    ["pwrite64", 18, 68],
    ["preadv", 295, 69],
    ["pwritev", 296, 70],
    ["lseek", 8, 62],
    ["fstat", 5, 80],
    ["close", 3, 57],
    ["dup", 32, 23],
    ["dup2", 33, -1],
    ["dup3", 292, 24],
    ["fcntl", 72, 25, [among(1, FCNTL_COMMANDS)]],
    ["ioctl", 16, 29, [among(1, IOCTL_COMMANDS)]],
    ["pipe2", 293, 59],
  ]),
  ...group("events", [
    ["epoll_create1", 291, 20],
    ["epoll_ctl", 233, 21],
    ["epoll_wait", 232, -1],
    ["epoll_pwait", 281, 22],
    ["poll", 7, -1],
    ["ppoll", 271, 73],
    ["eventfd2", 290, 19],
    ["timerfd_create", 283, 85],
    ["timerfd_settime", 286, 86],
    ["timerfd_gettime", 287, 87],
  ]),
  ...group("network", [
    ["socket", 41, 198, [among(0, [AF_INET, AF_INET6]), among(1, [SOCK_STREAM, SOCK_DGRAM], SOCK_TYPE_MASK)]],
    ["connect", 42, 203],
    ["accept", 43, 202],
    ["accept4", 288, 242],
    ["shutdown", 48, 210],
    ["sendto", 44, 206],
    ["recvfrom", 45, 207],
    ["sendmsg", 46, 211],
    ["recvmsg", 47, 212],
    ["sendmmsg", 307, 269],
    ["recvmmsg", 299, 243],
    ["getsockname", 51, 204],
    ["getpeername", 52, 205],
    ["getsockopt", 55, 209],
    ["setsockopt", 54, 208],
  ]),
  ...group("memory", [
    ["brk", 12, 214],
    ["mmap", 9, 222],
    ["munmap", 11, 215],
    ["mprotect", 10, 226],
    ["mremap", 25, 216],
    ["madvise", 28, 233],
    ["membarrier", 324, 283],
    ["pkey_alloc", 330, 289],
    ["pkey_free", 331, 290],
    ["pkey_mprotect", 329, 288],
  ]),
  ...group("threads", [
    ["clone", 56, 220, [among(0, [THREAD_FLAGS], THREAD_MASK)]],
    ["futex", 202, 98],
    ["set_robust_list", 273, 99],
    ["rseq", 334, 293],
    ["sched_yield", 24, 124],
    ["sched_getaffinity", 204, 123],
    ["sched_getparam", 143, 121],
    ["sched_getscheduler", 145, 120],
    ["exit", 60, 93],
    ["exit_group", 231, 94],
  ]),
  ...group("signals", [
    ["rt_sigaction", 13, 134],
    ["rt_sigprocmask", 14, 135],
    ["rt_sigreturn", 15, 139],
    ["sigaltstack", 131, 132],
    ["restart_syscall", 219, 128],
    ["kill", 62, 129, [among(0, [OWN_PID])]],
    ["tgkill", 234, 131, [among(0, [OWN_PID])]],
  ]),
  ...group("time", [
    ["clock_gettime", 228, 113],
    ["clock_getres", 229, 114],
    ["clock_nanosleep", 230, 115],
    ["nanosleep", 35, 101],
    ["gettimeofday", 96, 169],
    ["time", 201, -1],
  ]),
  ...group("facts", [
    ["getpid", 39, 172],
    ["gettid", 186, 178],
    ["getppid", 110, 173],
    ["getuid", 102, 174],
    ["geteuid", 107, 175],
    ["getgid", 104, 176],
    ["getegid", 108, 177],
    ["getrusage", 98, 165],
    ["getrlimit", 97, 163],
    ["prlimit64", 302, 261, [among(0, [0]), among(2, [0]), among(2, [0], ALL_BITS, true)]],
    ["times", 100, 153],
    ["sysinfo", 99, 179],
    ["uname", 63, 160],
    ["getcpu", 309, 168],
    ["getrandom", 318, 278],
    ["prctl", 157, 167, [among(0, [PR_SET_NAME, PR_GET_NAME, PR_SET_VMA])]],
  ]),
];

/**
 * Calls that a worker may not make from its very start: it never needs them, not even before it serves. io_uring is here
 * because it makes calls in the place of a process, which no filter sees; libuv goes without it when it is not there.
 */
export const NEVER_CALLS: readonly NeverCall[] = [
  { name: "io_uring_setup", x64: 425, arm64: 425 },
  { name: "io_uring_enter", x64: 426, arm64: 426 },
  { name: "io_uring_register", x64: 427, arm64: 427 },
  { name: "ptrace", x64: 101, arm64: 117 },
  { name: "process_vm_readv", x64: 310, arm64: 270 },
  { name: "process_vm_writev", x64: 311, arm64: 271 },
  { name: "pidfd_getfd", x64: 438, arm64: 438 },
  { name: "mount", x64: 165, arm64: 40 },
  { name: "umount2", x64: 166, arm64: 39 },
  { name: "pivot_root", x64: 155, arm64: 41 },
  { name: "chroot", x64: 161, arm64: 51 },
  { name: "move_mount", x64: 429, arm64: 429 },
  { name: "open_tree", x64: 428, arm64: 428 },
  { name: "fsopen", x64: 430, arm64: 430 },
  { name: "fsconfig", x64: 431, arm64: 431 },
  { name: "fsmount", x64: 432, arm64: 432 },
  { name: "mount_setattr", x64: 442, arm64: 442 },
  { name: "init_module", x64: 175, arm64: 105 },
  { name: "finit_module", x64: 313, arm64: 273 },
  { name: "delete_module", x64: 176, arm64: 106 },
  { name: "kexec_load", x64: 246, arm64: 104 },
  { name: "kexec_file_load", x64: 320, arm64: 294 },
  { name: "bpf", x64: 321, arm64: 280 },
  { name: "add_key", x64: 248, arm64: 217 },
  { name: "request_key", x64: 249, arm64: 218 },
  { name: "keyctl", x64: 250, arm64: 219 },
  { name: "perf_event_open", x64: 298, arm64: 241 },
  { name: "userfaultfd", x64: 323, arm64: 282 },
  { name: "setuid", x64: 105, arm64: 146 },
  { name: "setgid", x64: 106, arm64: 144 },
  { name: "setreuid", x64: 113, arm64: 145 },
  { name: "setregid", x64: 114, arm64: 143 },
  { name: "setresuid", x64: 117, arm64: 147 },
  { name: "setresgid", x64: 119, arm64: 149 },
  { name: "setgroups", x64: 116, arm64: 159 },
  { name: "setfsuid", x64: 122, arm64: 151 },
  { name: "setfsgid", x64: 123, arm64: 152 },
  { name: "capset", x64: 126, arm64: 91 },
  { name: "unshare", x64: 272, arm64: 97 },
  { name: "setns", x64: 308, arm64: 268 },
  { name: "open_by_handle_at", x64: 304, arm64: -1 },
  { name: "reboot", x64: 169, arm64: 142 },
  { name: "swapon", x64: 167, arm64: 224 },
  { name: "swapoff", x64: 168, arm64: 225 },
];

/** A call that is refused from the start. */
export interface NeverCall {
  readonly name: string;
  readonly x64: number;
  readonly arm64: number;
}

type Row = readonly [name: string, x64: number, arm64: number, when?: readonly Condition[]];

function group(name: string, rows: readonly Row[]): AllowedCall[] {
  return rows.map(([call, x64, arm64, when = []]) => ({ name: call, group: name, x64, arm64, when }));
}

function among(argument: number, values: readonly number[], mask = ALL_BITS, high = false): Condition {
  return { argument, high, mask, values };
}
