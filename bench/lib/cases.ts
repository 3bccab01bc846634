// What is measured. Each case is one kind of request at one number of connections.

/** A case of the side-by-side table. */
export interface Case {
  readonly id: string;
  readonly title: string;
  readonly connections: number;
  readonly path: string;
  readonly method: "GET" | "POST";
  /** Bytes of the request body. */
  readonly body: number;
  /** The client asks for `Connection: close`. */
  readonly close: boolean;
  readonly accessLog: boolean;
  /** Over TLS. */
  readonly tls: boolean;
  /** A new connection for each request; by our own client, which resumes sessions or never does. */
  readonly handshake?: "full" | "resumed";
  /** Each request is for one of this many hosts, drawn at random; absent: all for `localhost`. */
  readonly hosts?: number;
}

const base = { connections: 64, path: "/", method: "GET", body: 0, close: false, accessLog: true, tls: false } as const;

export const CASES: readonly Case[] = [
  { ...base, id: "small-1", title: "95 B, 1 connection", connections: 1 },
  { ...base, id: "small-64", title: "95 B, 64 connections" },
  { ...base, id: "small-512", title: "95 B, 512 connections", connections: 512 },
  { ...base, id: "16k", title: "16 kB, 64 connections", path: "/files/16k" },
  { ...base, id: "1m", title: "1 MB, 16 connections", path: "/files/1m", connections: 16 },
  { ...base, id: "post-16k", title: "POST 16 kB, 64 connections", method: "POST", body: 16 * 1024 },
  { ...base, id: "close", title: "95 B, 64 clients, Connection: close", close: true },
  { ...base, id: "no-log", title: "95 B, 64 connections, access log off", accessLog: false },
  { ...base, id: "https-64", title: "HTTPS, 95 B, 64 connections", tls: true },
  { ...base, id: "https-1m", title: "HTTPS, 1 MB, 16 connections", path: "/files/1m", connections: 16, tls: true },
  {
    ...base,
    id: "tls-full",
    title: "full TLS 1.3 handshake, one request",
    connections: 8,
    tls: true,
    handshake: "full",
  },
  {
    ...base,
    id: "tls-resumed",
    title: "resumed TLS 1.3 handshake, one request",
    connections: 8,
    tls: true,
    handshake: "resumed",
  },
];
