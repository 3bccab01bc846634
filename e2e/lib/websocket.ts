// The backend's end of a WebSocket (RFC 6455), small and strict: it accepts the handshake and echoes every message.
//
//   const backend = await webSocketBackend(t);

import { createHash } from "node:crypto";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { Scope } from "./scope.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const CLOSE = 8;
const PING = 9;
const PONG = 10;

export interface WebSocketBackend {
  readonly port: number;
  /** Connections that are open now. */
  open: number;
  /** Request heads so far. */
  readonly requests: string[];
}

/** Starts it; it dies with the test. */
export async function webSocketBackend(scope: Scope): Promise<WebSocketBackend> {
  const sockets = new Set<Socket>();
  const requests: string[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    backend.open++;
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      backend.open--;
    });
    serve(socket, requests);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const backend = { port: (server.address() as AddressInfo).port, open: 0, requests };
  scope.after(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  });
  return backend;
}

function serve(socket: Socket, requests: string[]): void {
  let pending: Buffer[] = [];
  let length = 0;
  let wanted = 4;
  let upgraded = false;
  socket.on("data", (chunk: Buffer) => {
    pending.push(chunk);
    length += chunk.length;
    if (length < wanted) return;
    let bytes = Buffer.concat(pending);
    if (!upgraded) {
      const end = bytes.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = bytes.toString("latin1", 0, end);
      requests.push(head);
      socket.write(handshake(head));
      bytes = bytes.subarray(end + 4);
      upgraded = true;
    }
    for (;;) {
      const size = frameBytes(bytes);
      wanted = size;
      if (bytes.length < size) break;
      answer(socket, bytes.subarray(0, size));
      bytes = bytes.subarray(size);
    }
    pending = [bytes];
    length = bytes.length;
  });
}

function handshake(head: string): string {
  const key = /^Sec-WebSocket-Key: (.*)$/im.exec(head)?.[1]?.trim() ?? "";
  const accept = createHash("sha1")
    .update(key + GUID)
    .digest("base64");
  const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
  return `${[...lines, `Sec-WebSocket-Accept: ${accept}`].join("\r\n")}\r\n\r\n`;
}

/** Bytes of the (masked) frame at the start, or how many are needed to know. */
function frameBytes(bytes: Buffer): number {
  if (bytes.length < 2) return 2;
  const short = (bytes[1] as number) & 127;
  if (short < 126) return 6 + short;
  if (short === 126) return bytes.length < 4 ? 4 : 8 + bytes.readUInt16BE(2);
  return bytes.length < 10 ? 10 : 14 + Number(bytes.readBigUInt64BE(2));
}

function answer(socket: Socket, frame: Buffer): void {
  const short = (frame[1] as number) & 127;
  const maskAt = short < 126 ? 2 : short === 126 ? 4 : 10;
  const data = Buffer.from(frame.subarray(maskAt + 4));
  for (let i = 0; i < data.length; i++) data[i] = (data[i] as number) ^ (frame[maskAt + (i & 3)] as number);
  const first = frame[0] as number;
  const opcode = first & 15;
  const reply = opcode === PING ? (first & 0xf0) | PONG : first;
  const head = Buffer.from(frame.subarray(0, maskAt));
  head[0] = reply;
  head[1] = short;
  socket.write(Buffer.concat([head, data]));
  if (opcode === CLOSE) socket.end();
}
