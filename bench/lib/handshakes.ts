// A client that opens a TLS 1.3 connection for each request: `handshakes.ts PORT SECONDS CLIENTS full|resumed [NAMES]`. With
// NAMES each connection is for one of that many names, drawn at random, else all are for `localhost`. The group is X25519 for everyone, since peers on Debian's OpenSSL have no other modern one. Prints one line of JSON, a LoadResult. In
// `resumed` runs a handshake that was not resumed is an error.

import { connect, type TLSSocket } from "node:tls";

const [port, seconds, clients, kind, names] = process.argv.slice(2);
const latencies: number[] = [];
let errors = 0;

const begin = performance.now();
const end = begin + Number(seconds) * 1000;
await Promise.all(Array.from({ length: Number(clients) }, client));
const elapsed = (performance.now() - begin) / 1000;
latencies.sort((a, b) => a - b);
const at = (share: number): number => Math.round(latencies[Math.floor(share * (latencies.length - 1))] ?? 0);
console.log(
  JSON.stringify({
    requests: latencies.length,
    seconds: elapsed,
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
    errors,
  }),
);

/** One after the other, each with the session of the one before where sessions are resumed. */
async function client(): Promise<void> {
  let session: Buffer | undefined;
  if (kind === "resumed") session = await once(undefined, false);
  while (performance.now() < end) {
    const started = performance.now();
    const next = await once(session, kind === "resumed");
    latencies.push((performance.now() - started) * 1000);
    if (kind === "resumed") session = next ?? session;
  }
}

/** One connection with one request. Resolves with the last session that was offered. */
function once(session: Buffer | undefined, isResuming: boolean): Promise<Buffer | undefined> {
  const name = names === undefined ? "localhost" : `h${Math.floor(Math.random() * Number(names))}.bench.test`;
  return new Promise((resolve) => {
    let offered: Buffer | undefined;
    let isAnswered = false;
    const socket: TLSSocket = connect({
      host: "127.0.0.1",
      port: Number(port),
      servername: name,
      ALPNProtocols: ["http/1.1"],
      minVersion: "TLSv1.3",
      ecdhCurve: "X25519",
      rejectUnauthorized: false,
      ...(session === undefined ? {} : { session }),
    });
    socket.once("secureConnect", () => {
      if (isResuming !== socket.isSessionReused()) errors++;
      socket.write(`GET / HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
    });
    socket.on("session", (ticket: Buffer) => {
      offered = ticket;
    });
    socket.on("data", (bytes: Buffer) => {
      if (!isAnswered && bytes.toString("latin1", 0, 12) === "HTTP/1.1 200") isAnswered = true;
    });
    socket.on("error", () => undefined);
    socket.once("close", () => {
      if (!isAnswered) errors++;
      resolve(offered);
    });
  });
}
