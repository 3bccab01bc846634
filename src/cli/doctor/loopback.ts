// Whether only this machine can connect to an address. Pure.

export function isLoopback(ip: string): boolean {
  return ip === "::1" || /^127\./.test(ip);
}
