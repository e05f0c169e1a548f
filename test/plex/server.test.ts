import { describe, expect, it } from "vitest";
import { isLoopbackUrl } from "../../src/model/loopback.ts";
import { Secret } from "../../src/model/secret.ts";
import { account, authorisedLibraries, identity } from "../../src/plex/server.ts";
import type { HttpRequest } from "../../src/world/world.ts";
import { DEVICE, playServer, silentUrl, TOKEN, testWorld } from "./play.ts";

const world = testWorld();
const token = new Secret(TOKEN);

function answering(status: number, body: string) {
  return playServer((_, response) => response.writeHead(status).end(body));
}

const UNAUTHORIZED =
  "<html><head><title>Unauthorized</title></head><body><h1>401 Unauthorized</h1></body></html>";

describe("the identity of a server", () => {
  it.each([
    ['<MediaContainer size="0" claimed="1" machineIdentifier="ID" version="1.43.4"/>', true],
    ['<MediaContainer size="0" claimed="0" machineIdentifier="ID" version="1.43.4"/>', false],
    ['<MediaContainer size="0" claimed="true" machineIdentifier="ID" version="1.43.4"/>', true],
    [
      '<?xml version="1.0"?>\n<MediaContainer machineIdentifier="ID" version="1.43.4"></MediaContainer>',
      false,
    ],
    ['{"MediaContainer":{"size":0,"claimed":true,"machineIdentifier":"ID","version":"1.43.4"}}', true],
    ['{"MediaContainer":{"size":0,"claimed":false,"machineIdentifier":"ID","version":"1.43.4"}}', false],
    ['{"MediaContainer":{"size":0,"claimed":"1","machineIdentifier":"ID","version":"1.43.4"}}', true],
  ])("is read from %s", async (body, claimed) => {
    const server = await answering(200, body.replace("ID", DEVICE));
    expect(await identity(world, `${server.url}/`)).toEqual({
      kind: "answers",
      machineIdentifier: DEVICE,
      claimed,
      version: "1.43.4",
    });
    expect(server.asked).toEqual(["GET /identity"]);
  });

  it("is told from maintenance, silence, and an answer that is none", async () => {
    const busy = await answering(503, "<Response code='503' title='Maintenance'/>");
    expect(await identity(world, busy.url)).toEqual({ kind: "maintenance" });
    expect(await identity(world, await silentUrl())).toEqual({ kind: "silent" });
    const cut = await playServer((request) => request.socket.destroy());
    expect(await identity(world, cut.url)).toEqual({ kind: "silent" });
    for (const [status, body] of [
      [200, "<html><body>a router</body></html>"],
      [200, "<MediaContainer/>"],
      [200, `<!DOCTYPE x><MediaContainer machineIdentifier="${DEVICE}"/>`],
      [200, `<Other machineIdentifier="${DEVICE}"/>`],
      [200, `{"MediaContainer":{"machineIdentifier":7}}`],
      [200, ""],
      [404, ""],
      [401, UNAUTHORIZED],
    ] as const) {
      const answer = await identity(world, (await answering(status, body)).url);
      expect(answer).toEqual({ kind: "nonsense", status });
    }
  });
});

describe("the libraries of a server", () => {
  it("are counted in XML and in JSON, with the token in a header only", async () => {
    const xml =
      '<MediaContainer size="2"><Directory key="1"><Location/></Directory><Directory key="2"/></MediaContainer>';
    const server = await answering(200, xml);
    expect(await authorisedLibraries(world, server.url, token)).toEqual({
      kind: "status",
      status: 200,
      count: 2,
    });
    expect(server.requests[0]?.headers["x-plex-token"]).toBe(TOKEN);
    expect(server.requests[0]?.url).toBe("/library/sections");
    const json = await answering(200, '{"MediaContainer":{"size":1,"Directory":[{"key":"1"}]}}');
    expect(await authorisedLibraries(world, json.url, null)).toEqual({
      kind: "status",
      status: 200,
      count: 1,
    });
    expect(json.requests[0]?.headers["x-plex-token"]).toBeUndefined();
    const none = await answering(200, '{"MediaContainer":{"size":0}}');
    expect(await authorisedLibraries(world, none.url, token)).toMatchObject({ status: 200, count: 0 });
  });

  it("are not counted in a refusal or in a page", async () => {
    for (const [status, body] of [
      [401, UNAUTHORIZED],
      [403, ""],
      [200, "<html></html>"],
    ] as const) {
      const { url } = await answering(status, body);
      expect(await authorisedLibraries(world, url, token)).toEqual({ kind: "status", status, count: null });
    }
    expect(await authorisedLibraries(world, await silentUrl(), token)).toEqual({ kind: "silent" });
  });
});

describe("the account of a server", () => {
  it("is read from XML and JSON, fit to be shown", async () => {
    const xml = await answering(
      200,
      '<MyPlex username="a&#x202e;b" mappingState="mapped" signInState="ok"/>',
    );
    expect(await account(world, xml.url, token)).toEqual({
      kind: "status",
      status: 200,
      username: "a\\u{202e}b",
      signInState: "ok",
      mappingState: "mapped",
    });
    const json = await answering(200, '{"MyPlex":{"username":"jane","signInState":"none"}}');
    expect(await account(world, json.url, token)).toMatchObject({ username: "jane", signInState: "none" });
    const refused = await answering(401, UNAUTHORIZED);
    expect(await account(world, refused.url, token)).toMatchObject({ status: 401, username: null });
  });
});

describe("a token", () => {
  it.each([
    ["http://127.0.0.1:32400", true],
    ["http://127.1:32400/", true],
    ["https://127.255.0.1", true],
    ["http://localhost:32400", true],
    ["http://LOCALHOST", true],
    ["http://[::1]:32400", true],
    ["http://[::ffff:127.0.0.1]:1", true],
    ["http://0.0.0.0:32400", false],
    ["http://10.0.0.1:32400", false],
    ["http://127.0.0.1.example.com", false],
    ["http://localhost.example.com", false],
    ["http://127.example.com", false],
    ["http://127.0.0.1@example.com", false],
    ["http://me@127.0.0.1:32400", false],
    ["http://[::ffff:10.0.0.1]", false],
    ["ftp://127.0.0.1", false],
    ["127.0.0.1:32400", false],
    ["", false],
  ])("may go to %s: %s", async (url, loopback) => {
    expect(isLoopbackUrl(url)).toBe(loopback);
    const sent: HttpRequest[] = [];
    const http = {
      local: async (request: HttpRequest) => {
        sent.push(request);
        return { status: 401, headers: {}, body: "" };
      },
      remote: () => Promise.reject(new Error("not here")),
    };
    const kinds = [
      (await authorisedLibraries({ http }, url, token)).kind,
      (await account({ http }, url, token)).kind,
    ];
    const kind = loopback ? "status" : "not-loopback";
    expect(kinds).toEqual([kind, kind]);
    expect(sent).toHaveLength(loopback ? 2 : 0);
  });
});
