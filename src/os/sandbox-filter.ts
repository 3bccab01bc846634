// Turns the tables of calls into programs for the kernel's filter (seccomp, classic BPF). Pure: a test runs the
// program in an interpreter. The number of the call is searched in a tree, about eight comparisons; newer kernels
// remember for each number without conditions that it is allowed, and do not even run it.
// Invariant: jumps go forward only, as the kernel demands.

import { ENOSYS, EPERM } from "./errno.ts";
import { type AllowedCall, type NeverCall, OWN_PID, RECENT_CALLS } from "./sandbox-table.ts";

/** The filter: what a refused call gets. */
export interface FilterOptions {
  readonly arch: "x64" | "arm64";
  /** Of the process that takes the filter. */
  readonly pid: number;
  /** Refuse nothing, but let the kernel log what would be refused. */
  readonly logOnly: boolean;
}

/** What the kernel does with a call, `SECCOMP_RET_*`. */
export const VERDICT = {
  KILL_PROCESS: 0x80000000,
  ERRNO: 0x00050000,
  LOG: 0x7ffc0000,
  ALLOW: 0x7fff0000,
} as const;

/** One instruction: `struct sock_filter`. */
interface Instruction {
  readonly code: number;
  readonly yes: number;
  readonly no: number;
  readonly value: number;
}

/** Calls from `from` on, up to the next leaf, get `code`. */
interface Leaf {
  readonly from: number;
  readonly code: readonly Instruction[];
}

/** Allows these calls and refuses all others: 8 bytes an instruction, as the kernel takes it (little-endian). */
export function compileFilter(calls: readonly AllowedCall[], options: FilterOptions): Uint8Array {
  const byNumber = new Map(calls.map((call) => [call[options.arch], call]));
  const leaves = leavesAt([RECENT_CALLS, ...around(byNumber.keys())], (number) => {
    const call = byNumber.get(number);
    const errno = number < RECENT_CALLS ? EPERM : ENOSYS;
    const refusal = [give(options.logOnly ? VERDICT.LOG : VERDICT.ERRNO | errno)];
    return call === undefined ? refusal : allow(call, refusal, options.pid);
  });
  return assemble(leaves, options);
}

/** Refuses these calls and allows all others. */
export function compileStartFilter(calls: readonly NeverCall[], options: FilterOptions): Uint8Array {
  const refused = new Set(calls.map((call) => call[options.arch]));
  const errno = options.logOnly ? VERDICT.LOG : VERDICT.ERRNO | ENOSYS;
  const leaves = leavesAt(around(refused), (number) => [give(refused.has(number) ? errno : VERDICT.ALLOW)]);
  return assemble(leaves, options);
}

function assemble(leaves: readonly Leaf[], options: FilterOptions): Uint8Array {
  const program = [
    load(ARCH_AT),
    // A 32-bit call on a 64-bit kernel has other numbers; nothing of ours makes one.
    jump(JUMP_EQUAL, AUDIT_ARCH[options.arch], 1, 0),
    give(options.logOnly ? VERDICT.LOG : VERDICT.KILL_PROCESS),
    load(NUMBER_AT),
    ...tree(leaves),
  ];
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  program.forEach(({ code, yes, no, value }, i) => {
    view.setUint16(i * 8, code, true);
    view.setUint8(i * 8 + 2, yes);
    view.setUint8(i * 8 + 3, no);
    view.setUint32(i * 8 + 4, value >>> 0, true);
  });
  return bytes;
}

/** Where something may change: at each number and behind it. */
function around(numbers: Iterable<number>): number[] {
  return [...numbers].filter((number) => number >= 0).flatMap((number) => [number, number + 1]);
}

function leavesAt(points: readonly number[], codeOf: (number: number) => Instruction[]): Leaf[] {
  const leaves: Leaf[] = [];
  for (const from of [...new Set([0, ...points])].sort((a, b) => a - b)) {
    const code = codeOf(from);
    const last = leaves.at(-1);
    if (last === undefined || !same(last.code, code)) leaves.push({ from, code });
  }
  return leaves;
}

// Each condition that does not hold ends in the refusal behind it.
function allow(call: AllowedCall, refusal: readonly Instruction[], pid: number): Instruction[] {
  const code: Instruction[] = [];
  for (const { argument, high, mask, values } of call.when) {
    code.push(load(ARGUMENTS_AT + argument * 8 + (high ? 4 : 0)));
    if (mask >>> 0 !== ALL_BITS) code.push({ code: AND, yes: 0, no: 0, value: mask });
    values.forEach((value, i) => {
      code.push(jump(JUMP_EQUAL, value === OWN_PID ? pid : value, values.length - i - 1 + refusal.length, 0));
    });
    code.push(...refusal);
  }
  code.push(give(VERDICT.ALLOW));
  return code;
}

// Half of the leaves on each side of a comparison. A conditional jump reaches 255 instructions, an unconditional one any.
function tree(leaves: readonly Leaf[]): Instruction[] {
  if (leaves.length === 1) return [...leaves[0].code];
  const middle = leaves.length >> 1;
  const below = tree(leaves.slice(0, middle));
  const above = tree(leaves.slice(middle));
  const { from } = leaves[middle];
  if (below.length <= JUMP_MAX) return [jump(JUMP_AT_LEAST, from, below.length, 0), ...below, ...above];
  const over = { code: JUMP_ALWAYS, yes: 0, no: 0, value: below.length };
  return [jump(JUMP_AT_LEAST, from, 0, 1), over, ...below, ...above];
}

function same(a: readonly Instruction[], b: readonly Instruction[]): boolean {
  return a.length === 1 && b.length === 1 && a[0].code === b[0].code && a[0].value === b[0].value;
}

function load(at: number): Instruction {
  return { code: LOAD_WORD, yes: 0, no: 0, value: at };
}

function jump(code: number, value: number, yes: number, no: number): Instruction {
  return { code, yes, no, value };
}

function give(verdict: number): Instruction {
  return { code: RETURN, yes: 0, no: 0, value: verdict };
}

const ALL_BITS = 0xffffffff;
const JUMP_MAX = 255;
// BPF_LD | BPF_W | BPF_ABS and so on (linux/bpf_common.h).
const LOAD_WORD = 0x20;
const AND = 0x54;
const JUMP_ALWAYS = 0x05;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const RETURN = 0x06;
/** `struct seccomp_data`. */
const NUMBER_AT = 0;
const ARCH_AT = 4;
const ARGUMENTS_AT = 16;
const AUDIT_ARCH = { x64: 0xc000003e, arm64: 0xc00000b7 };
