// What tests of HTTPS share: an authority, files of identities, clients that are not ours (curl, openssl), and a request over
// node:tls that tells what the handshake has agreed on.

import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { join } from "node:path";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { type CertificateRecipe, type MadeCertificate, makeCertificate } from "../../test/command/certs.ts";

/** Issues what a test needs. */
export const authority: MadeCertificate = makeCertificate({ commonName: "Test CA", names: [], isAuthority: true });

/** A certificate of `authority`. */
export function issue(recipe: CertificateRecipe): MadeCertificate {
  return makeCertificate({ issuer: authority, ...recipe });
}

/** Writes `<name>.pem` and `<name>.key`. */
export function writeIdentity(folder: string, name: string, made: MadeCertificate): void {
  writeFileSync(join(folder, `${name}.pem`), made.pem);
  writeFileSync(join(folder, `${name}.key`), made.key, { mode: 0o600 });
}

/** What a program did; `text` is its standard output and error. */
export interface ProgramResult {
  readonly code: number;
  readonly text: string;
}

/** Runs a program; `input` null leaves its standard input open. */
export function runProgram(
  command: string,
  args: readonly string[],
  input: string | null = "",
): Promise<ProgramResult> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), text: `${stdout}\n${stderr}` });
    });
    if (input !== null) child.stdin?.on("error", () => undefined).end(input);
  });
}

/** `openssl s_client` on a port of this machine: asks for `a.test` unless `args` say otherwise. */
export function openssl(port: number, args: readonly string[], input = ""): Promise<ProgramResult> {
  const name = args.includes("-servername") || args.includes("-noservername") ? [] : ["-servername", "a.test"];
  return runProgram("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, ...name, ...args], input);
}

/** A request that closes its connection. */
export function closing(path: string, host = "a.test"): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
}

/** A TLS connection, with bytes before its first one where `before` says so. Rejects when the handshake fails. */
export function secureConnect(port: number, options: ConnectionOptions = {}, before = ""): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const plain = connectPlain({ port, host: "127.0.0.1", noDelay: true });
    if (before !== "") plain.write(before);
    const socket = connect({ socket: plain, servername: "a.test", ca: authority.pem, ...options });
    plain.on("error", reject);
    socket.on("error", reject);
    socket.once("secureConnect", () => resolve(socket));
  });
}

/** Sends `bytes` and returns everything until the end. */
export function exchange(socket: TLSSocket, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    socket.on("data", (data: Buffer) => {
      text += data.toString("latin1");
    });
    socket.once("error", reject);
    socket.once("close", () => resolve(text));
    socket.once("end", () => socket.end());
    socket.write(bytes);
  });
}

/** SHA-256 of what the peer has shown, as our command line writes it. */
export function fingerprintOf(socket: TLSSocket): string {
  return socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase();
}
