import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";

/**
 * Chooses one of the servers found: the named one, or the only one. Several are never guessed between.
 * Throws `NO_SERVER`, `SEVERAL_SERVERS`, `SERVER_NOT_FOUND`.
 */
export function chooseServer(servers: readonly Server[], wanted: string | undefined): Server {
  const ids = servers.map((server) => server.id);
  if (wanted !== undefined) {
    const named = servers.find((server) => server.id === wanted);
    if (named === undefined) throw new ProblemError({ code: "SERVER_NOT_FOUND", id: wanted, ids });
    return named;
  }
  const [only, ...others] = servers;
  if (only === undefined) throw new ProblemError({ code: "NO_SERVER" });
  if (others.length > 0) throw new ProblemError({ code: "SEVERAL_SERVERS", ids });
  return only;
}
