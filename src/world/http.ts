import type { Http } from "./world.ts";

/**
 * Requests over the network. Each is bounded as a whole (`timeoutMs` from the call to the last byte) and in
 * size, and every connection is closed behind it.
 *
 * @param env where the proxy variables are looked up
 */
export function realHttp(env: Readonly<Record<string, string | undefined>>): Http {
  return {
    local: async (request) => (await import("./http-local.ts")).requestLocal(request),
    remote: async (request) => (await import("./http-remote.ts")).requestRemote(request, env),
  };
}
