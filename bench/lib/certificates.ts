// What the number of certificates costs: the start, the worker's memory, and a handshake. Sozu runs three times at once:
// with few hosts that have a certificate each, with many, and with as many hosts and the listener's certificate alone, so
// that routes are not counted as certificates.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { makeCertificate } from "../../test/command/certs.ts";
import { CASES, type Case } from "./cases.ts";
import { measure } from "./counters.ts";
import { load } from "./load.ts";
import { COLLECT_OPTIONS, settled } from "./memory.ts";
import { median } from "./report.ts";
import { startTarget, type Target, type TargetOptions } from "./targets.ts";

export const CERTIFICATES_FEW = 10;
export const CERTIFICATES_MANY = 10_000;

export interface CertificatesCost {
  /** Milliseconds from the start of the program until the last certificate is shown. */
  readonly startFewMs: number;
  readonly startManyMs: number;
  /** Bytes of the worker per certificate that no handshake has used. */
  readonly bytesPerCertificate: number;
  /** Microseconds of CPU for a full handshake with a request: few certificates there, many there but few in use, all in use. */
  readonly fewUs: number;
  readonly manyUs: number;
  readonly allUs: number;
}

export async function certificatesCost(
  base: TargetOptions,
  rounds: number,
  seconds: number,
): Promise<CertificatesCost> {
  const certificates = join(base.folder, "certificates");
  writeCertificates(certificates);
  const running: Target[] = [];
  const options = { ...base, nodeOptions: COLLECT_OPTIONS };
  const begin = async (hosts: number, isNamed: boolean): Promise<{ target: Target; ms: number }> => {
    const started = performance.now();
    const target = await startTarget("sozu", { ...options, hosts, ...(isNamed ? { certificates } : {}) });
    running.push(target);
    await shown(target.port, `h${hosts - 1}.bench.test`);
    return { target, ms: performance.now() - started };
  };
  try {
    const few = await begin(CERTIFICATES_FEW, true);
    const many = await begin(CERTIFICATES_MANY, true);
    const plain = await begin(CERTIFICATES_MANY, false);
    const bytes = ((await settled(many.target)) - (await settled(plain.target))) / CERTIFICATES_MANY;
    const costs: number[][] = [[], [], []];
    for (let round = -1; round < rounds; round++) {
      const runs = [
        await handshakes(base.folder, few.target, CERTIFICATES_FEW, seconds),
        await handshakes(base.folder, many.target, CERTIFICATES_FEW, seconds),
        await handshakes(base.folder, many.target, CERTIFICATES_MANY, seconds),
      ];
      // The first round warms up.
      if (round >= 0) for (const [index, cost] of runs.entries()) costs[index]?.push(cost);
    }
    const [fewUs = 0, manyUs = 0, allUs = 0] = costs.map(median);
    return { startFewMs: few.ms, startManyMs: many.ms, bytesPerCertificate: bytes, fewUs, manyUs, allUs };
  } finally {
    for (const target of running) await target.stop();
  }
}

/** One leaf of P-256 for each host, by one authority, whose certificate is the chain. */
function writeCertificates(folder: string): void {
  mkdirSync(folder);
  const issuer = makeCertificate({ names: [], commonName: "Bench CA", isAuthority: true });
  writeFileSync(join(folder, "chain.pem"), issuer.pem);
  for (let i = 0; i < CERTIFICATES_MANY; i++) {
    const { pem, key } = makeCertificate({ names: [`h${i}.bench.test`], commonName: `h${i}.bench.test`, issuer });
    writeFileSync(join(folder, `${i}.pem`), pem);
    writeFileSync(join(folder, `${i}.key`), key);
  }
}

/** Resolves when a handshake for this name succeeds. */
async function shown(port: number, servername: string): Promise<void> {
  for (;;) {
    const isShown = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
      socket.once("secureConnect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("secureConnect", () => socket.destroy());
    });
    if (isShown) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function handshakes(folder: string, target: Target, hosts: number, seconds: number): Promise<number> {
  const run = { ...(CASES.find((known) => known.id === "tls-full") as Case), hosts };
  const [seen, cost] = await measure(target.pid, false, () => load(folder, target.port, run, seconds));
  if (seen.errors > 0) throw new Error(`${seen.errors} handshakes failed with ${hosts} certificates`);
  const us = (cost.cpuUserNs + cost.cpuSystemNs) / 1000 / seen.requests;
  console.log(`certificates ${String(hosts).padEnd(6)} ${us.toFixed(1)} µs a handshake`);
  return us;
}
