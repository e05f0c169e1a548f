import { isIPv4 } from "node:net";

/**
 * Whether a host name of a URL (IPv6 in brackets, as `URL.hostname` gives it) can only be this machine:
 * `localhost` and names below it (RFC 6761), 127.0.0.0/8, `::1`, and 127.0.0.0/8 written as IPv6.
 */
export function isLoopback(hostname: string): boolean {
  const host = hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  if (host === "localhost" || host.endsWith(".localhost") || host === "::1") return true;
  return (isIPv4(host) && host.startsWith("127.")) || /^::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4}$/.test(host);
}
