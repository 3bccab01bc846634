// The programs that the tables become, run in an interpreter of the kernel's filter language.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compileFilter, compileStartFilter, type FilterOptions, VERDICT } from "../../src/os/sandbox-filter.ts";
import { ALLOWED_CALLS, NEVER_CALLS, OWN_PID, RECENT_CALLS } from "../../src/os/sandbox-table.ts";

const PID = 4242;
const ARCHES = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
/** What a worker calls for requests, connections, TLS and logs. */
const HOT_CALLS =
  "recvfrom sendto writev sendmsg recvmsg read write epoll_wait epoll_pwait epoll_ctl accept4 connect close shutdown " +
  "getsockopt setsockopt sendmmsg pwrite64 futex mmap munmap mprotect madvise clock_gettime timerfd_settime";
const EPERM = VERDICT.ERRNO | 1;
const ENOSYS = VERDICT.ERRNO | 38;

/** What the kernel would do with a call: number, architecture, six arguments of 64 bits. */
function run(
  program: Uint8Array,
  number: number,
  arch: number,
  given: readonly bigint[] = [],
  onLoad: (at: number) => void = () => undefined,
): number {
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, number, true);
  data.setUint32(4, arch, true);
  given.forEach((value, i) => {
    data.setBigUint64(16 + i * 8, value, true);
  });
  const code = new DataView(program.buffer);
  let accumulator = 0;
  for (let at = 0; at < program.length; at += 8) {
    const value = code.getUint32(at + 4, true);
    switch (code.getUint16(at, true)) {
      case 0x20:
        onLoad(value);
        accumulator = data.getUint32(value, true);
        break;
      case 0x54:
        accumulator = (accumulator & value) >>> 0;
        break;
      case 0x05:
        at += value * 8;
        break;
      case 0x15:
        at += code.getUint8(at + (accumulator === value ? 2 : 3)) * 8;
        break;
      case 0x35:
        at += code.getUint8(at + (accumulator >= value ? 2 : 3)) * 8;
        break;
      case 0x06:
        return value;
      default:
        assert.fail(`instruction ${code.getUint16(at, true)}`);
    }
  }
  return assert.fail("the program ends without a verdict");
}

for (const arch of ["x64", "arm64"] as const) {
  const options: FilterOptions = { arch, pid: PID, logOnly: false };
  const program = compileFilter(ALLOWED_CALLS, options);
  const byNumber = new Map(ALLOWED_CALLS.map((call) => [call[arch], call]));

  test(`${arch}: allowed is what is in the table, with the arguments it may have`, () => {
    const argument = fc.oneof(
      fc.bigInt(0n, 2n ** 64n - 1n),
      fc
        .constantFrom(...ALLOWED_CALLS.flatMap((call) => call.when.flatMap((each) => each.values)), PID)
        .map((value) => BigInt.asUintN(64, BigInt(value))),
      fc.constantFrom(0n, 1n, 2n, 10n),
    );
    const call = fc.tuple(fc.integer({ min: 0, max: 600 }), fc.array(argument, { minLength: 6, maxLength: 6 }));
    fc.assert(
      fc.property(call, ([number, given]) => {
        const allowed = byNumber.get(number);
        const holds = allowed?.when.every(({ argument: index, high, mask, values }) => {
          const half = Number(high ? given[index] >> 32n : given[index] & 0xffffffffn);
          return values.some((value) => (value === OWN_PID ? PID : value) >>> 0 === (half & mask) >>> 0);
        });
        const refusal = number < RECENT_CALLS ? EPERM : ENOSYS;
        assert.equal(run(program, number, ARCHES[arch], given), holds === true ? VERDICT.ALLOW : refusal);
      }),
      { numRuns: 5000 },
    );
  });

  // Since Linux 5.11 the kernel works out once, when a filter is set, which numbers are allowed whatever the arguments are, and
  // then answers those without running it. Of several filters all must say so.
  test(`${arch}: the calls of a request are allowed by both filters without a look at arguments`, () => {
    const start = compileStartFilter(NEVER_CALLS, options);
    for (const name of HOT_CALLS.split(" ")) {
      const number = ALLOWED_CALLS.find((call) => call.name === name)?.[arch] ?? -1;
      assert.ok(arch === "arm64" || number >= 0, name);
      if (number < 0) continue;
      const looked: number[] = [];
      for (const filter of [start, program]) {
        assert.equal(
          run(filter, number, ARCHES[arch], [], (at) => looked.push(at)),
          VERDICT.ALLOW,
          name,
        );
      }
      assert.deepEqual(
        looked.filter((at) => at !== 0 && at !== 4),
        [],
        name,
      );
    }
  });

  test(`${arch}: calls of another architecture end the process, unknown numbers are not there`, () => {
    assert.equal(run(program, 3, 0x40000003), VERDICT.KILL_PROCESS);
    // The numbers of x32 carry this bit.
    for (const number of [RECENT_CALLS, 5000, 0x40000000, 0x40000001, 0xffffffff]) {
      assert.equal(run(program, number, ARCHES[arch]), ENOSYS);
    }
  });

  test(`${arch}: with log only, nothing is refused`, () => {
    const log = compileFilter(ALLOWED_CALLS, { ...options, logOnly: true });
    for (let number = 0; number < 600; number++) {
      const verdict = run(log, number, ARCHES[arch]);
      assert.ok(verdict === VERDICT.LOG || verdict === VERDICT.ALLOW);
    }
  });

  test(`${arch}: from the start, only what a worker never needs is refused`, () => {
    const start = compileStartFilter(NEVER_CALLS, options);
    const never = new Set(NEVER_CALLS.map((call) => call[arch]));
    for (let number = 0; number < 600; number++) {
      assert.equal(run(start, number, ARCHES[arch]), never.has(number) ? ENOSYS : VERDICT.ALLOW);
    }
    assert.ok(
      !ALLOWED_CALLS.some((call) => call[arch] >= 0 && never.has(call[arch])),
      "refused at first and allowed later",
    );
  });

  test(`${arch}: a call is decided in few steps`, () => {
    assert.ok(program.length / 8 < 400, `${program.length / 8} instructions`);
  });
}
