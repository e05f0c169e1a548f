/**
 * Whether a host name of a URL (IPv6 with or without brackets) can only be this machine: `localhost`, 127.0.0.0/8,
 * `::1`, and 127.0.0.0/8 written as IPv6. Names below `localhost` are none: RFC 6761 keeps them for this machine,
 * but not every resolver does (glibc asks the network for them), and a token must not depend on that.
 */
export function isLoopback(hostname: string): boolean {
  return LOOPBACK.test(hostname.toLowerCase().replace(/^\[(.*)\]$/, "$1"));
}

/** Whether a URL leads to this machine and nowhere else: http or https, without a user name, to a loopback host. */
export function isLoopbackUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password, hostname } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") return false;
  return username === "" && password === "" && isLoopback(hostname);
}

// `URL` has already brought every spelling of an address (127.1, 0x7f000001, ::ffff:127.0.0.1) into one form.
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1|::ffff:7f[\da-f]{2}:[\da-f]{1,4})$/;
