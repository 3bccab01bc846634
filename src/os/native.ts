// Loads the native addon and binds the register block: the shared words through which hot calls pass their arguments.
//
// A register call takes no JavaScript arguments: the wrapper stores integers in `regs[1..]`, calls, and reads the result
// from `regs[0]`. That saves the conversion of every argument. The layout below is that of native/native.h.
// Invariant: nothing runs between a wrapper's first store and its call, so calls never see each other's words.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

type RegisterCall = () => void;

/** The functions of the addon, as native/*.c export them. Integers are >= 0 or -errno. */
export interface Native {
  bindRegisters(block: ArrayBuffer): number;
  registerArena(bytes: Uint8Array): number;
  readClock: RegisterCall;
  recv: RegisterCall;
  peek: RegisterCall;
  send: RegisterCall;
  writev: RegisterCall;
  accept: RegisterCall;
  close: RegisterCall;
  connect: RegisterCall;
  shutdown: RegisterCall;
  socket: RegisterCall;
  listen: RegisterCall;
  setOption: RegisterCall;
  getOption: RegisterCall;
  setLinger: RegisterCall;
  tcpRoundTrip: RegisterCall;
  bytesQueued: RegisterCall;
  socketpair: RegisterCall;
  peerCredentials: RegisterCall;
  changeMode: RegisterCall;
  bind(fd: number, address: Uint8Array): number;
  connectTo(fd: number, address: Uint8Array): number;
  socketName(fd: number, bytes: Uint8Array, peer: number): number;
  steerReuseport(fd: number, indexes: Int32Array): number;
  epollCreate: RegisterCall;
  epollControl: RegisterCall;
  poll: RegisterCall;
  timerCreate: RegisterCall;
  timerSet: RegisterCall;
  eventfdCreate: RegisterCall;
  counterRead: RegisterCall;
  eventfdSignal: RegisterCall;
  sendDatagrams(fd: number, bytes: Uint8Array, from: number, to: number, lines: number): number;
  sendStream(fd: number, bytes: Uint8Array, from: number, to: number, lines: number): number;
  startBridge(epoll: number, receiver: object, callback: () => void): number;
  stopBridge: RegisterCall;
  mapAnonymous(length: number): ArrayBuffer | number;
  mapShared(fd: number, length: number): ArrayBuffer | number;
  releasePages: RegisterCall;
  memfd(name: Uint8Array): number;
  truncate: RegisterCall;
  fileSize: RegisterCall;
  sendFds(fd: number, data: Uint8Array, fds: Int32Array): number;
  recvFds(fd: number, data: Uint8Array, fds: Int32Array): number;
  recvPacket: RegisterCall;
  spawn(
    file: Uint8Array,
    args: Uint8Array,
    env: Uint8Array,
    folder: Uint8Array,
    pairs: Int32Array,
    flags: number,
    filter: Uint8Array,
  ): number;
  execve(file: Uint8Array, args: Uint8Array, env: Uint8Array): number;
  waitProcess: RegisterCall;
  signalProcess: RegisterCall;
  unblockSignal: RegisterCall;
  openPidfd: RegisterCall;
  setCloexec: RegisterCall;
  getCloexec: RegisterCall;
  setNonblocking: RegisterCall;
  dup: RegisterCall;
  giveUpPrivileges: RegisterCall;
  setDumpable: RegisterCall;
  limitCore: RegisterCall;
  filterAction: RegisterCall;
  ringObstacle: RegisterCall;
  installFilter(program: Uint8Array, mode: number): number;
  getNofile: RegisterCall;
  setNofile: RegisterCall;
  tlsCreateContext(
    numbers: Int32Array,
    ciphers: Uint8Array,
    suites: Uint8Array,
    groups: Uint8Array,
    signatureAlgorithms: Uint8Array,
    sessionIdContext: Uint8Array,
    authorities: Uint8Array,
    alpn: Uint8Array,
  ): number;
  tlsDestroyContext: RegisterCall;
  tlsLastReason(bytes: Uint8Array): number;
  tlsCreateIdentity(certificate: Uint8Array, chain: Uint8Array, key: Uint8Array): number;
  tlsDestroyIdentity: RegisterCall;
  tlsSetStaple(identity: number, response: Uint8Array): number;
  tlsAccept: RegisterCall;
  tlsConnect(numbers: Int32Array, serverName: Uint8Array, expectedHost: Uint8Array): number;
  tlsHandshake: RegisterCall;
  tlsChoose: RegisterCall;
  tlsAddIdentity: RegisterCall;
  tlsRefuse: RegisterCall;
  tlsFree: RegisterCall;
  tlsCreateResumption: RegisterCall;
  tlsDestroyResumption: RegisterCall;
  tlsRead: RegisterCall;
  tlsWrite: RegisterCall;
  tlsWritev: RegisterCall;
  tlsShutdown: RegisterCall;
  tlsPending: RegisterCall;
  tlsFacts: RegisterCall;
  tlsPeerCertificate: RegisterCall;
  tlsCountHandles: RegisterCall;
  tlsTicketKeys(keys: Uint8Array): number;
}

const BLOCK_BYTES = 8192;
const CLOCK_BYTE = 128;
const NUMBER_BYTE = 144;
const IOV_BYTE = 256;
const EVENT_BYTE = 768;

/** Index of the first word of `accept`'s peer address, and of further results. */
export const REG_PEER = 8;
export const REG_EXTRA = 16;
/** Most spans of one `writev`, most events of one `poll`. */
export const IOV_MAX = 64;
export const EVENTS_MAX = 512;

const block = new ArrayBuffer(BLOCK_BYTES);

/** [0] result, [1..5] arguments, [8..13] peer address, [16..] further results. */
export const regs = new Int32Array(block, 0, 32);
/** [0] CLOCK_MONOTONIC, [1] CLOCK_REALTIME, in microseconds. */
export const clockWords = new Float64Array(block, CLOCK_BYTE, 2);
/** Arguments and results that do not fit into 32 bits. */
export const numbers = new Float64Array(block, NUMBER_BYTE, 2);
export const iovWords = new Int32Array(block, IOV_BYTE, 2 * IOV_MAX);
export const eventWords = new Int32Array(block, EVENT_BYTE, 3 * EVENTS_MAX);

/** The addon. Loading this module fails with a message for people when it is missing or the system is not supported. */
export const native: Native = load();

function load(): Native {
  if (process.platform !== "linux" || (process.arch !== "x64" && process.arch !== "arm64")) {
    throw new Error(`sozu runs on Linux x64 and arm64 only; this is ${process.platform} ${process.arch}.`);
  }
  const path = findAddon();
  const addon = createRequire(import.meta.url)(path) as Native;
  const bound = addon.bindRegisters(block);
  if (bound < 0) throw new Error(`The native layer at ${path} refused its register block (${bound}).`);
  return addon;
}

/** Next to the compiled JavaScript of a release, or where a checkout builds it; SOZU_NATIVE overrides both. */
function findAddon(): string {
  const given = process.env["SOZU_NATIVE"];
  if (given !== undefined && given !== "") return given;
  const places = [
    "../native/sozu_native.node",
    "../../native/sozu_native.node",
    "../../native/build/Release/sozu_native.node",
  ];
  for (const place of places) {
    const path = fileURLToPath(new URL(place, import.meta.url));
    if (existsSync(path)) return path;
  }
  throw new Error(
    "The native layer of sozu is not built. Run ./sozu (or sh scripts/build-native.sh) in the checkout; " +
      "it needs a C compiler: apt-get install -y build-essential python3",
  );
}
