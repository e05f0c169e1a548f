import { describe, expect, it } from "vitest";
import type { UserAnswer } from "../../src/plex/account.ts";
import { judgeState } from "../../src/stages/judge-state.ts";
import { DEVICE, dataFolder, LINES, playServer, settingsOf, silentUrl, TOKEN, testWorld } from "./play.ts";

const VALID: UserAnswer = { kind: "valid", username: "jane", email: "jane@example.com" };
const REVOKED: UserAnswer = { kind: "revoked" };
const SILENT: UserAnswer = { kind: "cannot-tell", reason: "ECONNREFUSED" };
const OFFLINE: UserAnswer = { kind: "cannot-tell", reason: "OFFLINE" };

/** A server that answers its own token with this status. */
function pms(status: number, machineIdentifier = DEVICE) {
  return playServer((request, response) => {
    if (request.url === "/identity")
      return response.end(`<MediaContainer claimed="1" machineIdentifier="${machineIdentifier}"/>`);
    return response.writeHead(status).end("<MediaContainer/>");
  });
}

interface Given {
  user: UserAnswer;
  url: string;
  log?: readonly string[];
  token?: string;
  running?: boolean | "unknown";
}

async function judged({ user, url, log, token = TOKEN, running = true }: Given): Promise<string> {
  const plexTv = { user: async () => user };
  const server = { url, dataFolder: dataFolder(log) };
  const { state, reason } = await judgeState(
    { world: testWorld(), plexTv },
    server,
    settingsOf({ token }),
    running,
  );
  return `${state} ${reason}`;
}

const REVOKED_LOG = [LINES.start, LINES.withToken, LINES.features401];

describe("the state of a server", () => {
  it("without a token is signed out, and nobody is asked", async () => {
    const server = await pms(200);
    const plexTv = { user: () => expect.unreachable("plex.tv was asked") };
    const at = { url: server.url, dataFolder: dataFolder(REVOKED_LOG) };
    const none = await judgeState({ world: testWorld(), plexTv }, at, settingsOf({}), true);
    expect(none).toEqual({ state: "signed-out", reason: "NO_TOKEN" });
    const empty = await judgeState({ world: testWorld(), plexTv }, at, settingsOf({ token: "" }), true);
    expect(empty).toEqual({ state: "signed-out", reason: "EMPTY_TOKEN" });
    expect(server.asked).toEqual([]);
  });

  it.each([
    ["plex.tv says revoked, the server believes", REVOKED, 200, [], "locked-out TOKEN_REVOKED"],
    ["plex.tv says revoked, the server refuses", REVOKED, 401, [], "locked-out TOKEN_REVOKED"],
    ["both accept", VALID, 200, [], "signed-in TOKEN_ACCEPTED"],
    ["both accept, the log has old refusals", VALID, 200, REVOKED_LOG, "signed-in TOKEN_ACCEPTED"],
    ["plex.tv accepts, the server is at work", VALID, 503, [], "signed-in TOKEN_ACCEPTED"],
    ["plex.tv accepts, the server refuses", VALID, 401, [], "locked-out TOKEN_REFUSED_BY_SERVER"],
    ["plex.tv accepts, the server forbids", VALID, 403, [], "locked-out TOKEN_REFUSED_BY_SERVER"],
    ["plex.tv is silent, the server refuses", SILENT, 401, [], "locked-out TOKEN_REFUSED_BY_SERVER"],
    ["plex.tv is silent, the log says revoked", SILENT, 200, REVOKED_LOG, "locked-out LOG_SAYS_REVOKED"],
    [
      "plex.tv is silent, all else is well",
      SILENT,
      200,
      [LINES.start, LINES.features200],
      "unknown PLEXTV_UNREACHABLE",
    ],
    [
      "plex.tv is silent, the log says unclaimed",
      SILENT,
      200,
      [LINES.start, LINES.withoutToken, LINES.features401],
      "unknown PLEXTV_UNREACHABLE",
    ],
    ["offline, the server refuses", OFFLINE, 403, [], "locked-out TOKEN_REFUSED_BY_SERVER"],
    ["offline, the log says revoked", OFFLINE, 200, REVOKED_LOG, "locked-out LOG_SAYS_REVOKED"],
    ["offline, all else is well", OFFLINE, 200, [LINES.start], "unknown PLEXTV_NOT_ASKED"],
  ] as const)("when %s", async (_, user, status, log, expected) => {
    const { url } = await pms(status);
    expect(await judged({ user, url, log })).toBe(expected);
  });

  it("does not hang on another server at its address, which is not shown the token", async () => {
    const another = await pms(401, "ffff");
    expect(await judged({ user: VALID, url: another.url })).toBe("signed-in TOKEN_ACCEPTED");
    expect(another.asked).toEqual(["GET /identity"]);
  });

  it("of a stopped or silent server is plex.tv's word, else the log's", async () => {
    const server = await pms(401);
    expect(await judged({ user: VALID, url: server.url, running: false })).toBe("signed-in TOKEN_ACCEPTED");
    expect(server.asked).toEqual([]);
    const url = await silentUrl();
    expect(await judged({ user: VALID, url, running: "unknown" })).toBe("signed-in TOKEN_ACCEPTED");
    expect(await judged({ user: SILENT, url, log: REVOKED_LOG })).toBe("locked-out LOG_SAYS_REVOKED");
    expect(await judged({ user: SILENT, url })).toBe("unknown PLEXTV_UNREACHABLE");
  });
});
