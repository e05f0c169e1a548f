import { appendFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import type { Criterion } from "../../src/model/event.ts";
import type { UserAnswer } from "../../src/plex/account.ts";
import { type VerifySubject, verify } from "../../src/stages/10-verify.ts";
import {
  DEVICE,
  dataFolder,
  LINES,
  logPath,
  type Played,
  playServer,
  settingsOf,
  silentUrl,
  type TestWorld,
  TOKEN,
  testWorld,
} from "./play.ts";

/** How the played server answers; what is not given is as on a healthy one. */
interface Manners {
  identity?: () => { status: number; body: string };
  libraries?: (authorised: boolean) => number;
  account?: () => { status: number; username?: string; state?: string };
}

function playPms(manners: Manners = {}): Promise<Played> {
  return playServer((request: IncomingMessage, response: ServerResponse) => {
    const authorised = request.headers["x-plex-token"] === TOKEN;
    const { status, body } = answerOf(manners, request.url ?? "", authorised);
    response.writeHead(status).end(body);
  });
}

function answerOf(manners: Manners, path: string, authorised: boolean): { status: number; body: string } {
  if (path === "/identity") {
    const body = `<MediaContainer claimed="1" machineIdentifier="${DEVICE}" version="1"/>`;
    return manners.identity?.() ?? { status: 200, body };
  }
  if (path === "/library/sections") {
    const status = manners.libraries?.(authorised) ?? (authorised ? 200 : 401);
    return {
      status,
      body: status === 200 ? '<MediaContainer><Directory key="1"/></MediaContainer>' : "<h1>no</h1>",
    };
  }
  const {
    status,
    username = "jane",
    state = "ok",
  } = manners.account?.() ?? { status: authorised ? 200 : 401 };
  return { status, body: status === 200 ? `<MyPlex username="${username}" signInState="${state}"/>` : "" };
}

const JANE: UserAnswer = { kind: "valid", username: "jane", email: "jane@example.com", title: "Jane" };
const HEALTHY = [LINES.start, LINES.features200, LINES.published];

interface Case extends Partial<Omit<VerifySubject, "server">> {
  url?: string;
  user?: UserAnswer | (() => UserAnswer);
  log?: readonly string[];
  folder?: string;
  world?: TestWorld;
  signal?: AbortSignal;
}

async function verified(given: Case): Promise<{ criteria: Criterion[]; world: TestWorld; asked: number }> {
  const world = given.world ?? testWorld();
  const { user = JANE } = given;
  let asked = 0;
  const plexTv = {
    user: async () => {
      asked += 1;
      return typeof user === "function" ? user() : user;
    },
  };
  const { signal } = given;
  const criteria = await verify(signal === undefined ? { world, plexTv } : { world, plexTv, signal }, {
    server: { url: given.url ?? "", dataFolder: given.folder ?? dataFolder(given.log ?? HEALTHY) },
    settings: given.settings ?? settingsOf({ token: TOKEN, username: "jane", mail: "jane@example.com" }),
    running: given.running ?? true,
    patienceMs: given.patienceMs ?? 0,
    ...(given.expectAccount === undefined ? {} : { expectAccount: given.expectAccount }),
    ...(given.startedAt === undefined ? {} : { startedAt: given.startedAt }),
  });
  expect(criteria.map((criterion) => criterion.name)).toEqual(["reachable", "account", "logs"]);
  expect(JSON.stringify(criteria)).not.toContain(TOKEN);
  return { criteria, world, asked };
}

function seen(criteria: Criterion[], name: Criterion["name"]) {
  const { result, evidence } = criteria.find((criterion) => criterion.name === name) ?? expect.unreachable();
  return [result, evidence] as const;
}

describe("a healthy server", () => {
  it("meets all three, in one look, with the evidence", async () => {
    const pms = await playPms();
    const { criteria, world, asked } = await verified({ url: pms.url, patienceMs: 60_000 });
    expect(criteria).toEqual([
      { name: "reachable", result: "met", evidence: { code: "LIBRARIES_LISTED", count: 1 } },
      { name: "account", result: "met", evidence: { code: "SIGNED_IN_AS", username: "jane", count: 1 } },
      { name: "logs", result: "met", evidence: { code: "LOG_CLEAN", lines: 3 } },
    ]);
    expect(world.clock.slept).toEqual([]);
    expect(asked).toBe(1);
  });
});

describe("reachable", () => {
  it.each([401, 403])("is not met when the authorised request is refused with %i", async (status) => {
    const { url } = await playPms({ libraries: (authorised) => (authorised ? status : 401) });
    const refused = ["not-met", { code: "AUTHORISED_REQUEST_REFUSED", status }];
    const { criteria } = await verified({ url });
    expect(seen(criteria, "reachable")).toEqual(refused);
    expect(seen(criteria, "account")).toEqual(refused);
  });

  it("is not met by a server that is open to everybody, unless it shows its owner's account", async () => {
    const open = { libraries: () => 200 };
    const signedOut = await playPms({ ...open, account: () => ({ status: 401 }) });
    const state = await playPms({ ...open, account: () => ({ status: 200, state: "none" }) });
    const allowed = await playPms(open);
    for (const { url } of [signedOut, state])
      expect(seen((await verified({ url })).criteria, "reachable")).toEqual([
        "not-met",
        { code: "OPEN_TO_EVERYBODY" },
      ]);
    const met = ["met", { code: "LIBRARIES_LISTED", count: 1 }];
    expect(seen((await verified({ url: allowed.url })).criteria, "reachable")).toEqual(met);
  });

  it("cannot be told, or is not met, with other answers", async () => {
    const broken = await playPms({ libraries: () => 500 });
    const half = await playPms({ libraries: (authorised) => (authorised ? 200 : 500) });
    const busy = await playPms({ libraries: () => 503 });
    const cases = [
      [broken.url, "not-met", { code: "UNEXPECTED_STATUS", status: 500 }],
      [half.url, "cannot-tell", { code: "UNEXPECTED_STATUS", status: 500 }],
      [busy.url, "cannot-tell", { code: "IN_MAINTENANCE", url: busy.url }],
    ] as const;
    for (const [url, result, evidence] of cases)
      expect(seen((await verified({ url })).criteria, "reachable")).toEqual([result, evidence]);
  });

  it("and account say what is in the way of asking at all, and no token leaves", async () => {
    const other = '<MediaContainer claimed="1" machineIdentifier="ffff"/>';
    const another = await playPms({ identity: () => ({ status: 200, body: other }) });
    const starting = await playPms({ identity: () => ({ status: 503, body: "" }) });
    const router = await playPms({ identity: () => ({ status: 404, body: "<html/>" }) });
    const silent = await silentUrl();
    const cases = [
      [another.url, "not-met", { code: "ANOTHER_SERVER_ANSWERS", url: another.url }],
      [starting.url, "cannot-tell", { code: "IN_MAINTENANCE", url: starting.url }],
      [router.url, "not-met", { code: "UNEXPECTED_STATUS", status: 404 }],
      [silent, "not-met", { code: "NO_ANSWER", url: silent }],
      ["http://192.0.2.1:32400", "cannot-tell", { code: "NOT_LOOPBACK", url: "http://192.0.2.1:32400" }],
    ] as const;
    for (const [url, result, evidence] of cases) {
      const { criteria } = await verified({ url });
      expect(seen(criteria, "reachable")).toEqual([result, evidence]);
      expect(seen(criteria, "account")).toEqual([result, evidence]);
    }
    for (const { asked, requests } of [another, starting, router]) {
      expect(asked).toEqual(["GET /identity"]);
      expect(requests[0]?.headers["x-plex-token"]).toBeUndefined();
    }
  });

  it.each([{}, { token: "" }])(
    "and account are not met without a token (%o), and nobody is asked",
    async (none) => {
      const pms = await playPms();
      const { criteria, asked } = await verified({ url: pms.url, settings: settingsOf(none) });
      expect(seen(criteria, "reachable")).toEqual(["not-met", { code: "NO_TOKEN" }]);
      expect(seen(criteria, "account")).toEqual(["not-met", { code: "NO_TOKEN" }]);
      expect([pms.asked, asked]).toEqual([[], 0]);
    },
  );
});

describe("account", () => {
  it("is not met by a token that plex.tv says is revoked, whatever the server believes", async () => {
    const { url } = await playPms();
    const { criteria } = await verified({ url, user: { kind: "revoked" } });
    expect(seen(criteria, "account")).toEqual(["not-met", { code: "TOKEN_REVOKED" }]);
    expect(seen(criteria, "reachable")[0]).toBe("met");
  });

  it("is not met by a server that says it is not signed in, claimed or not", async () => {
    const { url } = await playPms({ account: () => ({ status: 200, state: "none" }) });
    const { criteria } = await verified({ url });
    expect(seen(criteria, "account")).toEqual(["not-met", { code: "SIGN_IN_STATE", state: "none" }]);
  });

  it.each([
    ["the user name", "jane", {}],
    ["the user name in another case", "Jane", {}],
    ["the e-mail, as older servers do", "jane@example.com", {}],
    ["no name", "", {}],
    ["the user name, expected by e-mail", "jane", { expectAccount: "JANE@example.com" }],
    ["any name where the settings name nobody", "jane", { settings: settingsOf({ token: TOKEN }) }],
  ])("is met by a server that shows %s", async (_, username, rest) => {
    const { url } = await playPms({ account: () => ({ status: 200, username }) });
    const { criteria } = await verified({ url, ...rest });
    expect(seen(criteria, "account")).toEqual([
      "met",
      { code: "SIGNED_IN_AS", username: username || "jane", count: 1 },
    ]);
  });

  it("is not met by another account, at the server or at plex.tv", async () => {
    const bob: UserAnswer = { kind: "valid", username: "bob", email: "bob@example.com" };
    const ofBob = await playPms({ account: () => ({ status: 200, username: "bob" }) });
    const ofJane = await playPms();
    const another = ["not-met", { code: "SIGNED_IN_AS_ANOTHER", username: "bob", expected: "jane" }];
    expect(seen((await verified({ url: ofBob.url })).criteria, "account")).toEqual(another);
    expect(seen((await verified({ url: ofJane.url, user: bob })).criteria, "account")).toEqual(another);
    const unnamed = await verified({ url: ofBob.url, settings: settingsOf({ token: TOKEN }) });
    expect(seen(unnamed.criteria, "account")).toEqual(another);
    const named = await verified({ url: ofJane.url, expectAccount: "bob" });
    expect(seen(named.criteria, "account")).toEqual([
      "not-met",
      { code: "SIGNED_IN_AS_ANOTHER", username: "jane", expected: "bob" },
    ]);
  });

  it.each([
    ["OFFLINE", "PLEXTV_NOT_ASKED"],
    ["ECONNREFUSED", "PLEXTV_UNREACHABLE"],
    ["HTTP_500", "PLEXTV_UNREACHABLE"],
  ])("without a word from plex.tv (%s) needs one in the server's log", async (reason, code) => {
    const { url } = await playPms();
    const user: UserAnswer = { kind: "cannot-tell", reason };
    const spoken = await verified({ url, user });
    expect(seen(spoken.criteria, "account")[0]).toBe("met");
    const silent = await verified({ url, user, log: [LINES.start, LINES.other] });
    expect(seen(silent.criteria, "account")).toEqual(["cannot-tell", { code }]);
    const stale = await verified({ url, user, log: [...HEALTHY, LINES.start] });
    expect(seen(stale.criteria, "account")[0]).toBe("cannot-tell");
  });
});

describe("logs", () => {
  it("are judged by the last start, and say what they cannot tell", async () => {
    const { url } = await playPms();
    const missing = dataFolder();
    const path = expect.stringContaining("Plex Media Server.log");
    const cases: [Case, string, object][] = [
      [{ log: [LINES.start, LINES.other] }, "met", { code: "LOG_CLEAN", lines: 2 }],
      [
        { log: [LINES.start, LINES.error401] },
        "not-met",
        { code: "LOG_SIGN_IN_ERROR", line: expect.stringContaining("Error 401") },
      ],
      [{ log: [LINES.other] }, "cannot-tell", { code: "LOG_WITHOUT_START", path }],
      [{ startedAt: Date.UTC(2027, 0, 1) }, "cannot-tell", { code: "LOG_WITHOUT_START", path }],
      [{ folder: missing }, "cannot-tell", { code: "LOG_MISSING", path: logPath(missing) }],
    ];
    for (const [given, result, evidence] of cases)
      expect(seen((await verified({ url, ...given })).criteria, "logs")).toEqual([result, evidence]);
  });
});

describe("a server that is not running", () => {
  it("cannot be told anything about, and is not asked", async () => {
    const pms = await playPms();
    const { criteria, asked } = await verified({ url: pms.url, running: false, patienceMs: 60_000 });
    for (const { result, evidence } of criteria)
      expect([result, evidence]).toEqual(["cannot-tell", { code: "NOT_RUNNING" }]);
    expect([pms.asked, asked]).toEqual([[], 0]);
  });
});

describe("the patience", () => {
  it("lasts until a server that is starting and signing in is done", async () => {
    const folder = dataFolder([LINES.start]);
    let looks = 0;
    const healthy = `<MediaContainer machineIdentifier="${DEVICE}"/>`;
    const { url } = await playPms({
      identity: () => {
        looks += 1;
        if (looks === 6) appendFileSync(logPath(folder), `${LINES.features401}\n`);
        if (looks === 8) appendFileSync(logPath(folder), `${LINES.features200}\n`);
        return looks < 3 ? { status: 503, body: "" } : { status: 200, body: healthy };
      },
      libraries: (authorised) => (authorised && looks >= 4 ? 200 : 401),
      account: () => ({ status: 200, state: looks >= 6 ? "ok" : "none" }),
    });
    const { criteria, world } = await verified({ url, folder, patienceMs: 60_000 });
    expect(criteria.map(({ result }) => result)).toEqual(["met", "met", "met"]);
    expect(looks).toBe(8);
    expect(world.clock.slept).toHaveLength(7);
  });

  it("has an end, and then the last look is reported", async () => {
    const { url } = await playPms({ account: () => ({ status: 200, state: "none" }) });
    const { criteria, world, asked } = await verified({
      url,
      patienceMs: 30_000,
      user: { kind: "cannot-tell", reason: "TIMEOUT" },
    });
    expect(seen(criteria, "account")).toEqual(["not-met", { code: "SIGN_IN_STATE", state: "none" }]);
    expect(world.clock.monotonicMs()).toBe(30_000);
    expect(asked).toBe(3);
  });

  it("is not spent on what will not change, and not on a plex.tv that has answered", async () => {
    const pms = await playPms();
    const final: Case[] = [
      { url: pms.url, user: { kind: "revoked" } },
      { url: pms.url, settings: settingsOf({}) },
      { url: pms.url, expectAccount: "bob" },
    ];
    for (const given of final)
      expect((await verified({ ...given, patienceMs: 60_000 })).world.clock.slept).toEqual([]);
    const refused = await verified({ url: pms.url, log: [LINES.start, LINES.error401], patienceMs: 9_000 });
    expect(refused.world.clock.slept).toHaveLength(9);
    expect(refused.asked).toBe(1);
  });

  it("ends with an interruption", async () => {
    const interrupt = new AbortController();
    const { url } = await playPms({
      account: () => {
        interrupt.abort("SIGINT");
        return { status: 200, state: "none" };
      },
    });
    const { criteria, world } = await verified({ url, patienceMs: 60_000, signal: interrupt.signal });
    expect(seen(criteria, "account")[0]).toBe("not-met");
    expect(world.clock.slept).toEqual([]);
  });
});
