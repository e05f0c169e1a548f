import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type PlexTv, startPlexTv } from "../../src/standins/plex-tv.ts";
import { spawnPlexTv } from "../../src/standins/plex-tv-process.ts";
import { CLAIM_CODE_LIFETIME_MS, fingerprint, PIN_LIFETIME_MS } from "../../src/standins/plex-tv-records.ts";

const DEVICE = "d".repeat(40);
const JSON_PLEASE = { accept: "application/json" };

let plexTv: PlexTv;

beforeEach(async () => {
  plexTv = await startPlexTv();
  await plexTv.addAccount("jane", "jane@example.com");
});

afterEach(() => plexTv.close());

function ask(method: string, path: string, headers: Record<string, string> = {}) {
  return fetch(`${plexTv.url}${path}`, { method, headers, redirect: "manual" });
}

function exchange(code: string, device = DEVICE) {
  const headers: Record<string, string> = device === "" ? {} : { "X-Plex-Client-Identifier": device };
  return ask("POST", `/api/claim/exchange?token=${code}`, headers);
}

async function tokenIn(response: Response): Promise<string> {
  return /<authentication-token>([^<]*)</.exec(await response.text())?.[1] ?? "";
}

function userStatus(token: string): Promise<number> {
  return ask("GET", "/api/v2/user", { "X-Plex-Token": token }).then((response) => response.status);
}

describe("the exchange of a claim code", () => {
  test("gives the account's name, mail and a token that plex.tv accepts", async () => {
    await plexTv.addAccount("a<b>&\"'é", "a&b@example.com");
    const code = await plexTv.issueClaimCode("a<b>&\"'é");
    expect(code).toMatch(/^claim-[A-Za-z0-9_-]{20}$/);
    const response = await exchange(code);
    const body = await response.text();
    expect(response.status).toBe(200);
    expect(body).toContain("<username>a&lt;b&gt;&amp;&quot;'é</username>");
    expect(body).toContain("<email>a&amp;b@example.com</email>");
    const token = /<authentication-token>([A-Za-z0-9_-]{20})</.exec(body)?.[1] ?? "";
    expect(await userStatus(token)).toBe(200);
  });

  test("takes a code once", async () => {
    const code = await plexTv.issueClaimCode("jane");
    expect((await exchange(code)).status).toBe(200);
    expect((await exchange(code)).status).toBe(400);
  });

  test("refuses an unknown code, and one without a device without spending it", async () => {
    const code = await plexTv.issueClaimCode("jane");
    expect((await exchange("claim-00000000000000000000")).status).toBe(400);
    expect((await exchange(code, "")).status).toBe(400);
    expect((await exchange(code)).status).toBe(200);
  });

  test("refuses a code after four minutes, and not before", async () => {
    const [early, late] = [await plexTv.issueClaimCode("jane"), await plexTv.issueClaimCode("jane")];
    await plexTv.advanceClock(CLAIM_CODE_LIFETIME_MS - 30_000);
    expect((await exchange(early)).status).toBe(200);
    await plexTv.advanceClock(30_000);
    expect((await exchange(late)).status).toBe(400);
  });

  test("kills the token that the same account and device had, and no other", async () => {
    const old = await plexTv.issueServerToken("jane", DEVICE);
    const elsewhere = await plexTv.issueServerToken("jane", "e".repeat(40));
    const fresh = await tokenIn(await exchange(await plexTv.issueClaimCode("jane")));
    expect(await userStatus(old)).toBe(401);
    expect(await userStatus(elsewhere)).toBe(200);
    expect(await userStatus(fresh)).toBe(200);
  });
});

describe("sign-ins", () => {
  test("a claim code is given out by both addresses of the API to whoever is signed in", async () => {
    const token = await plexTv.issueUserToken("jane", "browser");
    for (const path of ["/api/claim/token.json", "/api/v2/claim/token"]) {
      expect((await ask("GET", path)).status).toBe(401);
      const given = (await (await ask("GET", path, { "X-Plex-Token": token })).json()) as { token: string };
      expect((await exchange(given.token)).status).toBe(200);
    }
  });

  test("signing out everywhere kills every token of the account and none of another's", async () => {
    await plexTv.addAccount("joe", "joe@example.com");
    const [server, browser] = [
      await plexTv.issueServerToken("jane", DEVICE),
      await plexTv.issueUserToken("jane", "b"),
    ];
    const other = await plexTv.issueServerToken("joe", DEVICE);
    await plexTv.revokeAll("jane");
    expect([await userStatus(server), await userStatus(browser), await userStatus(other)]).toEqual([
      401, 401, 200,
    ]);
  });

  test("ping tells a dead token from a live one", async () => {
    const token = await plexTv.issueUserToken("jane", "b");
    expect((await ask("GET", "/api/v2/ping", { "X-Plex-Token": token })).status).toBe(200);
    expect((await ask("GET", "/api/v2/ping", { "X-Plex-Token": "dead" })).status).toBe(401);
  });

  test("user names the account", async () => {
    const token = await plexTv.issueUserToken("jane", "b");
    const user = await (await ask("GET", `/api/v2/user?X-Plex-Token=${token}`)).json();
    expect(user).toMatchObject({ username: "jane", email: "jane@example.com" });
  });

  test("signing a device out kills its token", async () => {
    const token = await plexTv.issueUserToken("jane", "b");
    expect((await ask("DELETE", "/api/v2/users/signout", { "X-Plex-Token": token })).status).toBe(204);
    expect(await plexTv.isTokenValid(token)).toBe(false);
  });

  test("a server is among the resources once it has published itself", async () => {
    const token = await plexTv.issueServerToken("jane", DEVICE);
    const headers = { "X-Plex-Token": token };
    const resources = async () => (await ask("GET", "/api/v2/resources?includeHttps=1", headers)).json();
    expect(await resources()).toEqual([]);
    expect((await ask("PUT", `/devices/${DEVICE}?x=1`, headers)).status).toBe(200);
    expect(await resources()).toMatchObject([{ clientIdentifier: DEVICE, owned: true, accessToken: token }]);
  });

  test("a server's features are refused to no token, a dead one and another device's", async () => {
    const token = await plexTv.issueServerToken("jane", DEVICE);
    const status = async (headers: Record<string, string>) =>
      (await ask("GET", "/api/v2/server/users/features", headers)).status;
    expect(await status({ "X-Plex-Token": token, "X-Plex-Client-Identifier": DEVICE })).toBe(200);
    expect(await status({ "X-Plex-Client-Identifier": DEVICE })).toBe(401);
    expect(await status({ "X-Plex-Token": "dead", "X-Plex-Client-Identifier": DEVICE })).toBe(401);
    expect(await status({ "X-Plex-Token": token, "X-Plex-Client-Identifier": "other" })).toBe(403);
  });
});

describe("pins", () => {
  const headers = { ...JSON_PLEASE, "X-Plex-Client-Identifier": "run-1", "X-Plex-Product": "test" };

  test("a pin is linked by its code and then holds a token", async () => {
    const made = await ask("POST", "/api/v2/pins", headers);
    const pin = (await made.json()) as { id: number; code: string };
    expect(made.status).toBe(201);
    expect(pin).toMatchObject({ expiresIn: 900, authToken: null, clientIdentifier: "run-1" });
    expect(pin.code).toHaveLength(4);
    await plexTv.linkPin(pin.code, "jane");
    const polled = await ask("GET", `/api/v2/pins/${pin.id}`, headers);
    const { authToken } = (await polled.json()) as { authToken: string };
    expect(await userStatus(authToken)).toBe(200);
  });

  test("an expired pin is 404 with code 1020", async () => {
    const made = await ask("POST", "/api/v2/pins?strong=true", headers);
    const pin = (await made.json()) as { id: number; code: string };
    expect(pin.code).toHaveLength(25);
    await plexTv.advanceClock(PIN_LIFETIME_MS);
    const polled = await ask("GET", `/api/v2/pins/${pin.id}`, headers);
    expect(polled.status).toBe(404);
    expect(await polled.json()).toMatchObject({ errors: [{ code: 1020 }] });
  });

  test("without asking for JSON the answer is XML", async () => {
    const made = await ask("POST", "/api/v2/pins", { "X-Plex-Client-Identifier": "run-1" });
    expect(await made.text()).toMatch(/<pin id="\d+" code="....".* authToken=""\/>/);
  });
});

describe("modes of failure", () => {
  test.each([
    [{ kind: "refused" } as const, 403],
    [{ kind: "expired" } as const, 400],
    [{ kind: "server-error" } as const, 500],
    [{ kind: "server-error", status: 503 } as const, 503],
  ])("%o answers the exchange with %i and spends nothing", async (mode, status) => {
    const code = await plexTv.issueClaimCode("jane");
    await plexTv.setMode(mode, { times: 1 });
    expect((await exchange(code)).status).toBe(status);
    expect((await exchange(code)).status).toBe(200);
  });

  test("rate-limited says when to come back, and then takes the code", async () => {
    const code = await plexTv.issueClaimCode("jane");
    await plexTv.setMode({ kind: "rate-limited", retryAfter: 7 }, { times: 1 });
    const refused = await exchange(code);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "7"]);
    expect((await exchange(code)).status).toBe(200);
  });

  test("hang answers nothing and issues nothing", async () => {
    const old = await plexTv.issueServerToken("jane", DEVICE);
    await plexTv.setMode({ kind: "hang" });
    const pending = exchange(await plexTv.issueClaimCode("jane"));
    const failure = expect(pending).rejects.toThrow();
    await expect.poll(() => plexTv.requests(), { timeout: 10_000 }).toMatchObject([{ status: null }]);
    expect(await plexTv.isTokenValid(old)).toBe(true);
    await plexTv.down();
    await failure;
  });

  test.each(["cut", "silence"] as const)("answer-lost by %s issues a token that nobody gets", async (how) => {
    const old = await plexTv.issueServerToken("jane", DEVICE);
    const code = await plexTv.issueClaimCode("jane");
    await plexTv.setMode({ kind: "answer-lost", how }, { times: 1 });
    const failure = expect(exchange(code)).rejects.toThrow();
    await expect.poll(() => plexTv.isTokenValid(old), { timeout: 10_000 }).toBe(false);
    if (how === "silence") {
      await plexTv.down();
      await plexTv.up();
    }
    await failure;
    expect((await exchange(code)).status).toBe(400);
  });

  test("a captive portal answers 200 with a page, or redirects, whatever is asked", async () => {
    await plexTv.setMode({ kind: "captive-portal" }, { scope: "everything" });
    const page = await ask("GET", "/api/v2/user");
    expect([page.status, page.headers.get("content-type")]).toEqual([200, "text/html"]);
    await plexTv.setMode({ kind: "captive-portal", redirect: true }, { scope: "everything" });
    expect((await ask("GET", "/api/v2/user")).status).toBe(302);
  });

  test("a cut-off body ends early although the token was issued", async () => {
    const old = await plexTv.issueServerToken("jane", DEVICE);
    await plexTv.setMode({ kind: "cut-off-body" });
    const response = await exchange(await plexTv.issueClaimCode("jane"));
    expect(response.status).toBe(200);
    await expect(response.text()).rejects.toThrow();
    expect(await plexTv.isTokenValid(old)).toBe(false);
  });

  test("an empty token comes with 200 and spends the code", async () => {
    const code = await plexTv.issueClaimCode("jane");
    await plexTv.setMode({ kind: "empty-token" }, { times: 1 });
    expect(await tokenIn(await exchange(code))).toBe("");
    expect((await exchange(code)).status).toBe(400);
  });

  test("another account than the code's can come out", async () => {
    await plexTv.addAccount("joe", "joe@example.com");
    await plexTv.setMode({ kind: "other-account", account: "joe" });
    const body = await (await exchange(await plexTv.issueClaimCode("jane"))).text();
    expect(body).toContain("<username>joe</username>");
  });

  test("a mode for the exchange leaves the other addresses alone", async () => {
    await plexTv.setMode({ kind: "server-error" });
    expect(await userStatus(await plexTv.issueUserToken("jane", "b"))).toBe(200);
  });

  test("down refuses connections, and up is the same address with all it knew", async () => {
    const token = await plexTv.issueUserToken("jane", "b");
    const before = plexTv.url;
    await plexTv.down();
    await expect(userStatus(token)).rejects.toMatchObject({ cause: { code: "ECONNREFUSED" } });
    await plexTv.up();
    expect(plexTv.url).toBe(before);
    expect(await userStatus(token)).toBe(200);
  });
});

test("requests are kept without any secret in them", async () => {
  const code = await plexTv.issueClaimCode("jane");
  const token = await tokenIn(await exchange(code));
  await userStatus(token);
  const requests = await plexTv.requests();
  expect(requests).toEqual([
    {
      method: "POST",
      path: "/api/claim/exchange",
      device: DEVICE,
      token: null,
      claimCode: fingerprint(code),
      status: 200,
    },
    {
      method: "GET",
      path: "/api/v2/user",
      device: "",
      token: fingerprint(token),
      claimCode: null,
      status: 200,
    },
  ]);
  expect(JSON.stringify(requests)).not.toContain(code.slice(6));
  await plexTv.forgetRequests();
  expect(await plexTv.requests()).toEqual([]);
});

test("as a program it is controlled over HTTP just the same", async () => {
  const program = await spawnPlexTv();
  try {
    await program.addAccount("jane", "jane@example.com");
    const token = await program.issueServerToken("jane", DEVICE);
    expect(await program.isTokenValid(token)).toBe(true);
    await program.revokeAll("jane");
    expect(await program.isTokenValid(token)).toBe(false);
    const code = await program.issueClaimCode("jane");
    await program.setMode({ kind: "server-error" }, { times: 1 });
    const headers = { "X-Plex-Client-Identifier": DEVICE };
    const spend = () => fetch(`${program.url}/api/claim/exchange?token=${code}`, { method: "POST", headers });
    expect((await spend()).status).toBe(500);
    await program.advanceClock(CLAIM_CODE_LIFETIME_MS);
    expect((await spend()).status).toBe(400);
    expect((await program.requests()).map((request) => request.status)).toEqual([500, 400]);
    await expect(program.issueClaimCode("nobody")).rejects.toThrow("NO_SUCH_ACCOUNT");
    await program.downFor(1);
    await expect
      .poll(
        () =>
          program.requests().then(
            (all) => all.length,
            () => 0,
          ),
        { timeout: 10_000 },
      )
      .toBe(2);
  } finally {
    program.stop();
  }
});
