import type { Secret } from "../model/secret.ts";
import type { Server, ServerState, StateReason } from "../model/server.ts";
import type { Settings } from "../model/settings.ts";
import type { PlexTv } from "../plex/account.ts";
import { readSignInLog } from "../plex/log.ts";
import { authorisedLibraries, identity } from "../plex/server.ts";
import type { World } from "../world/world.ts";

/**
 * Whether a server with settings in order is signed in, signed out or locked out, and by what that is known.
 *
 * plex.tv decides. Where it accepts the token, a running server that refuses its own token is locked out all the
 * same. Where it cannot or must not be asked, a refusal by the server or in its log since the last start proves a
 * lock-out, but nothing there proves a working sign-in: then the state is `unknown`.
 *
 * Never throws for what it finds.
 */
export async function judgeState(
  context: {
    readonly world: Pick<World, "http" | "files">;
    readonly plexTv: Pick<PlexTv, "user">;
  },
  server: Pick<Server, "url" | "dataFolder">,
  settings: Settings,
  running: boolean | "unknown",
): Promise<{ readonly state: ServerState; readonly reason: StateReason }> {
  const { token } = settings.credentials;
  if (token === undefined) return { state: "signed-out", reason: "NO_TOKEN" };
  if (token.reveal() === "") return { state: "signed-out", reason: "EMPTY_TOKEN" };

  const deviceId = settings.identity.processedMachineIdentifier;
  const [user, refused] = await Promise.all([
    context.plexTv.user(token, deviceId),
    running === false ? false : refusesItsOwn(context.world, server.url, token, deviceId),
  ]);
  if (user.kind === "revoked") return { state: "locked-out", reason: "TOKEN_REVOKED" };
  if (refused) return { state: "locked-out", reason: "TOKEN_REFUSED_BY_SERVER" };
  if (user.kind === "valid") return { state: "signed-in", reason: "TOKEN_ACCEPTED" };

  const log = await readSignInLog(context.world, server);
  if (log.kind === "read" && log.verdict === "revoked")
    return { state: "locked-out", reason: "LOG_SAYS_REVOKED" };
  return { state: "unknown", reason: user.reason === "OFFLINE" ? "PLEXTV_NOT_ASKED" : "PLEXTV_UNREACHABLE" };
}

/** Only the server with the right identity is shown the token; whoever else has the port is not. */
async function refusesItsOwn(
  world: Pick<World, "http">,
  url: string,
  token: Secret,
  machineIdentifier: string,
): Promise<boolean> {
  const who = await identity(world, url);
  if (who.kind !== "answers" || who.machineIdentifier !== machineIdentifier) return false;
  const answer = await authorisedLibraries(world, url, token);
  return answer.kind === "status" && (answer.status === 401 || answer.status === 403);
}
