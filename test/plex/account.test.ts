import { describe, expect, it } from "vitest";
import { Secret } from "../../src/model/secret.ts";
import { type PlexTv, plexTv } from "../../src/plex/account.ts";
import { startPlexTv } from "../../src/standins/plex-tv.ts";
import type { Mode } from "../../src/standins/plex-tv-mode.ts";
import { DEVICE, playServer, problemOf, silentUrl, TOKEN, testWorld } from "./play.ts";

const token = new Secret(TOKEN);

async function partyAnswering(
  status: number,
  body: string,
  headers: Record<string, string> = {},
): Promise<PlexTv & { asked: string[] }> {
  const { url, asked } = await playServer((_, response) => response.writeHead(status, headers).end(body));
  return { ...plexTv(testWorld(), { baseUrl: url, offline: false }), asked };
}

describe("ping", () => {
  it.each([
    [200, '{"pong":true}'],
    [200, "<pong/>"],
    [401, '{"errors":[{"code":1001}]}'],
    [401, "<errors/>"],
    [401, ""],
    [400, "no client identifier"],
  ])("takes %i with %s for plex.tv", async (status, body) => {
    const party = await partyAnswering(status, body);
    await party.ping();
    expect(party.asked).toEqual(["GET /api/v2/ping"]);
  });

  it.each([
    [200, "<html><body>Welcome</body></html>"],
    [200, ""],
    [200, "OK"],
    [401, "<html><body>Sign in to this network</body></html>"],
    [302, ""],
    [407, ""],
    [500, '{"error":1}'],
    [503, ""],
  ])("takes %i with %s for somebody else", async (status, body) => {
    const party = await partyAnswering(status, body);
    expect(await problemOf(party.ping())).toEqual({ code: "PLEXTV_NONSENSE", status });
  });

  it("tells an address where nobody is, rate limits, being offline and an interruption", async () => {
    const silent = plexTv(testWorld(), { baseUrl: await silentUrl(), offline: false });
    expect(await problemOf(silent.ping())).toEqual({ code: "PLEXTV_UNREACHABLE", reason: "ECONNREFUSED" });
    const limited = await partyAnswering(429, "", { "retry-after": "9" });
    expect(await problemOf(limited.ping())).toEqual({ code: "PLEXTV_RATE_LIMITED", seconds: 9 });
    expect(limited.asked).toHaveLength(3);
    const offline = plexTv(testWorld(), { baseUrl: "http://127.0.0.1:9", offline: true });
    expect(await problemOf(offline.ping())).toEqual({ code: "OFFLINE" });
    const interrupted = silent.ping({ signal: AbortSignal.abort("SIGINT") });
    expect(await problemOf(interrupted)).toEqual({ code: "INTERRUPTED", signal: "SIGINT" });
  });

  it.each<[Mode, string]>([
    [{ kind: "captive-portal" }, "PLEXTV_NONSENSE"],
    [{ kind: "captive-portal", redirect: true }, "PLEXTV_NONSENSE"],
    [{ kind: "server-error" }, "PLEXTV_NONSENSE"],
    [{ kind: "hang" }, "PLEXTV_UNREACHABLE"],
    [{ kind: "rate-limited", retryAfter: 1 }, "PLEXTV_RATE_LIMITED"],
  ])("sees through a plex.tv in mode %o", async (mode, code) => {
    const tv = await startPlexTv();
    try {
      await tv.setMode(mode, { scope: "everything" });
      const party = plexTv(testWorld(400), { baseUrl: tv.url, offline: false });
      expect((await problemOf(party.ping())).code).toBe(code);
    } finally {
      await tv.close();
    }
  });
});

describe("the user of a token", () => {
  it("is read from JSON and XML, made printable, and the token travels in a header", async () => {
    const seen: (string | undefined)[] = [];
    const tv = await playServer((request, response) => {
      seen.push(request.url, String(request.headers["x-plex-token"]));
      response.end(JSON.stringify({ username: "ja\u001b[31mne", email: "j@x", title: "Jane", id: 1 }));
    });
    const party = plexTv(testWorld(), { baseUrl: tv.url, offline: false });
    expect(await party.user(token, DEVICE)).toEqual({
      kind: "valid",
      username: "ja\\u{1b}[31mne",
      email: "j@x",
      title: "Jane",
    });
    expect(seen).toEqual(["/api/v2/user", TOKEN]);
    const xml = await partyAnswering(200, `<user username="jane" email="j@x"/>`);
    expect(await xml.user(token, DEVICE)).toEqual({ kind: "valid", username: "jane", email: "j@x" });
  });

  it("is revoked for a 401 and for nothing else", async () => {
    expect(await (await partyAnswering(401, "")).user(token, DEVICE)).toEqual({ kind: "revoked" });
    for (const status of [302, 400, 403, 404, 422, 429, 498, 500, 503]) {
      const answer = await (await partyAnswering(status, "{}")).user(token, DEVICE);
      expect(answer).toEqual({ kind: "cannot-tell", reason: `HTTP_${status}` });
    }
  });

  it("cannot be told from a page, half an answer, silence, or offline", async () => {
    for (const body of ["<html/>", "", '{"username":', '{"id":1}', '{"username":7}'])
      expect(await (await partyAnswering(200, body)).user(token, DEVICE)).toEqual({
        kind: "cannot-tell",
        reason: "NONSENSE",
      });
    const silent = plexTv(testWorld(), { baseUrl: await silentUrl(), offline: false });
    expect(await silent.user(token, DEVICE)).toEqual({ kind: "cannot-tell", reason: "ECONNREFUSED" });
    const offline = plexTv(testWorld(), { baseUrl: "http://127.0.0.1:9", offline: true });
    expect(await offline.user(token, DEVICE)).toEqual({ kind: "cannot-tell", reason: "OFFLINE" });
  });
});

describe("signing out", () => {
  it.each([
    [200, true],
    [204, true],
    [401, true],
    [403, false],
    [429, false],
    [500, false],
  ])("with status %i is %s", async (status, done) => {
    const party = await partyAnswering(status, "");
    expect(await party.signOut(token, DEVICE)).toBe(done);
    expect(party.asked).toEqual(["DELETE /api/v2/users/signout"]);
  });

  it("is not done offline or without an answer", async () => {
    const offline = plexTv(testWorld(), { baseUrl: "http://127.0.0.1:9", offline: true });
    expect(await offline.signOut(token, DEVICE)).toBe(false);
    const silent = plexTv(testWorld(), { baseUrl: await silentUrl(), offline: false });
    expect(await silent.signOut(token, DEVICE)).toBe(false);
  });
});
