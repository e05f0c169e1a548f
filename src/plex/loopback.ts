/**
 * Whether a URL leads to this machine and nowhere else: http or https, without a user name in it, to `localhost`
 * or an address of 127.0.0.0/8, ::1 or ::ffff:127.0.0.0/104. Names that merely resolve there do not count.
 */
export function isLoopbackUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, username, password, hostname } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") return false;
  if (username !== "" || password !== "") return false;
  return LOOPBACK.test(hostname);
}

// `URL` has already brought every spelling of an address (127.1, 0x7f000001, ::ffff:127.0.0.1) into one form.
const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\]|\[::ffff:7f[\da-f]{2}:[\da-f]{1,4}\])$/;
