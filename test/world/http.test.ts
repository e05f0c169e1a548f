import { execFile } from "node:child_process";
import type { ServerResponse } from "node:http";
import tls from "node:tls";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { isLoopback } from "../../src/model/loopback.ts";
import { Secret } from "../../src/model/secret.ts";
import { realHttp } from "../../src/world/http.ts";
import type { Http, HttpRequest } from "../../src/world/world.ts";
import { closedPort, connectProxy, failureOf, httpServer, httpsServer, rawServer } from "./network.ts";

const CODE = "claim-AbC_123 xyz/+&=";
const TOKEN = "tokenTOKENtoken";
const MEBIBYTE = 1024 * 1024;
const CUT_LENGTH = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
const CUT_CHUNK = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";

function withSecrets(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return {
    method: "POST",
    url,
    query: { token: new Secret(CODE) },
    headers: { "X-Plex-Token": new Secret(TOKEN), Accept: "application/json" },
    timeoutMs: 60_000,
    ...more,
  };
}

function at(port: number, path = "/"): string {
  return `http://127.0.0.1:${port}${path}`;
}

function failed(exchange: Promise<unknown>) {
  return failureOf(exchange, [CODE, encodeURIComponent(CODE), TOKEN]);
}

const doors: readonly (keyof Http)[] = ["local", "remote"];
describe.each(doors)("a %s exchange", (door) => {
  const http = realHttp({});
  const send = (request: HttpRequest) => http[door](request);

  test("brings status, headers and body, and sends what was asked", async () => {
    const seen: unknown[] = [];
    const port = await httpServer((request, response) => {
      seen.push(request.method, request.url, request.headers["x-plex-token"], request.headers.accept);
      response.writeHead(201, { "X-One": "1", "Set-Cookie": ["a=1", "b=2"] });
      response.end("тело");
    });
    const answer = await send(withSecrets(at(port, "/claim?first=1")));
    expect(answer).toMatchObject({ status: 201, body: "тело" });
    expect(answer.headers).toMatchObject({ "x-one": "1", "set-cookie": "a=1, b=2" });
    const query = `first=1&token=${encodeURIComponent(CODE)}`;
    expect(seen).toEqual(["POST", `/claim?${query}`, TOKEN, "application/json"]);
  });

  test.each(["GET", "POST", "DELETE"] as const)("of method %s needs no body either way", async (method) => {
    const port = await httpServer((request, response) => {
      request.on("data", () => response.destroy());
      request.on("end", () => response.writeHead(204, { "x-method": request.method }).end());
    });
    const answer = await send({ method, url: at(port), headers: {}, timeoutMs: 60_000 });
    expect(answer).toMatchObject({ status: 204, body: "" });
    expect(answer.headers["x-method"]).toBe(method);
  });

  test("gets any text through the query unharmed", async () => {
    let url = "";
    const port = await httpServer((request, response) => {
      url = request.url ?? "";
      response.end();
    });
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(text, text, async (name, value) => {
        await send({
          method: "GET",
          url: at(port),
          query: { [`n${name}`]: new Secret(value) },
          headers: {},
          timeoutMs: 60_000,
        });
        expect([...new URL(url, "http://x").searchParams]).toEqual([[`n${name}`, value]]);
      }),
      { numRuns: 100 },
    );
  });

  test("takes a redirect as the answer", async () => {
    const paths: (string | undefined)[] = [];
    const port = await httpServer((request, response) => {
      paths.push(request.url);
      response.writeHead(302, { location: "/elsewhere" }).end();
    });
    const answer = await send({ method: "GET", url: at(port, "/here"), headers: {}, timeoutMs: 60_000 });
    expect(answer.status).toBe(302);
    expect(answer.headers["location"]).toBe("/elsewhere");
    expect(paths).toEqual(["/here"]);
  });

  test("to nobody was not sent", async () => {
    const url = at(await closedPort());
    expect(await failed(send(withSecrets(url)))).toEqual({ sent: "no", reason: "ECONNREFUSED" });
  });

  test("to a name that does not exist was not sent", async () => {
    const request = withSecrets("http://no-such-host.invalid/", {
      headers: {},
      query: {},
      timeoutMs: 20_000,
    });
    const { sent, reason } = await failed(send(request));
    expect(sent).toBe("no");
    expect(["ENOTFOUND", "EAI_AGAIN", "TIMEOUT"]).toContain(reason);
  });

  test.each(["claim", "ftp://127.0.0.1/", "http://", ""])(
    "to %j, which is no address, was not sent",
    async (url) => {
      expect(await failed(send(withSecrets(url)))).toEqual({ sent: "no", reason: "INVALID_URL" });
    },
  );

  test("with a header that cannot be sent was not sent", async () => {
    const port = await httpServer((_, response) => response.end());
    const request = withSecrets(at(port), { headers: { "X-Plex-Token": new Secret(`${TOKEN}\r\nx: y`) } });
    expect((await failed(send(request))).sent).toBe("no");
  });

  test("that is reset before an answer may have been heard", async () => {
    const port = await rawServer((socket) => socket.resetAndDestroy());
    expect(await failed(send(withSecrets(at(port))))).toEqual({ sent: "maybe", reason: "ECONNRESET" });
  });

  test("that is closed before an answer may have been heard", async () => {
    const port = await rawServer((socket) => socket.end());
    expect(await failed(send(withSecrets(at(port))))).toEqual({ sent: "maybe", reason: "ECONNRESET" });
  });

  test.each([
    ["short of its length", CUT_LENGTH],
    ["between chunks", CUT_CHUNK],
  ])("whose body ends %s is cut off, closed or reset", async (_, answer) => {
    for (const end of ["end", "resetAndDestroy"] as const) {
      const port = await rawServer((socket) => socket.write(answer, () => setImmediate(() => socket[end]())));
      const { sent, reason } = await failed(send(withSecrets(at(port))));
      expect(sent).toBe("maybe");
      // A reset may overtake the answer.
      expect(end === "end" ? ["CUT_OFF"] : ["CUT_OFF", "ECONNRESET"]).toContain(reason);
    }
  });

  test("answered with something that is no HTTP fails with its reason", async () => {
    const port = await rawServer((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
    expect(await failed(send(withSecrets(at(port))))).toEqual({ sent: "maybe", reason: "NOT_HTTP" });
  });

  test("without an answer, or without its end, is over at its deadline", async () => {
    const silent = await rawServer(() => undefined);
    const request = withSecrets(at(silent), { timeoutMs: 300 });
    expect(await failed(send(request))).toEqual({ sent: "maybe", reason: "TIMEOUT" });

    const dripping = await httpServer((_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write("drip"), 10);
      response.on("close", () => clearInterval(timer));
    });
    const endless = withSecrets(at(dripping), { timeoutMs: 300 });
    expect(await failed(send(endless))).toEqual({ sent: "maybe", reason: "TIMEOUT" });
  });

  test("can be called off, before and while it runs", async () => {
    let calls = 0;
    const controller = new AbortController();
    const port = await rawServer(() => {
      calls += 1;
      controller.abort();
    });
    const gone = withSecrets(at(port), { signal: AbortSignal.abort() });
    expect(await failed(send(gone))).toEqual({ sent: "no", reason: "ABORTED" });
    expect(calls).toBe(0);
    const running = withSecrets(at(port), { signal: controller.signal });
    expect(await failed(send(running))).toEqual({ sent: "maybe", reason: "ABORTED" });
  });

  test("takes a body of a mebibyte and no byte more", async () => {
    const port = await httpServer((request, response) => {
      response.end("x".repeat(MEBIBYTE + Number(request.url?.slice(1))));
    });
    const get = (path: string) =>
      send({ method: "GET", url: at(port, path), headers: {}, timeoutMs: 60_000 });
    expect((await get("/0")).body).toHaveLength(MEBIBYTE);
    expect(await failed(get("/1"))).toEqual({ sent: "maybe", reason: "TOO_LARGE" });
  });

  test("with a certificate that nobody vouches for was not sent", async () => {
    let calls = 0;
    const count = (_: unknown, response: ServerResponse) => {
      calls += 1;
      response.end();
    };
    const { port } = await httpsServer(["IP:127.0.0.1"], count);
    const url = `https://127.0.0.1:${port}/`;
    const refused = { sent: "no", reason: "DEPTH_ZERO_SELF_SIGNED_CERT" };
    expect(await failed(send(withSecrets(url)))).toEqual(refused);

    const other = await httpsServer(["DNS:elsewhere.example"], count);
    trust(other.certificate);
    const misnamed = `https://127.0.0.1:${other.port}/`;
    expect(await failed(send(withSecrets(misnamed)))).toEqual({
      sent: "no",
      reason: "ERR_TLS_CERT_ALTNAME_INVALID",
    });
    expect(calls).toBe(0);
  });

  test("that breaks off while the connection is being secured was not sent", async () => {
    for (const end of ["end", "resetAndDestroy"] as const) {
      const port = await rawServer((socket) => socket[end]());
      expect((await failed(send(withSecrets(`https://127.0.0.1:${port}/`)))).sent).toBe("no");
    }
    const babbling = await rawServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    expect((await failed(send(withSecrets(`https://127.0.0.1:${babbling}/`)))).sent).toBe("no");
    const silent = await rawServer(() => undefined);
    const request = withSecrets(`https://127.0.0.1:${silent}/`, { timeoutMs: 300 });
    expect(await failed(send(request))).toEqual({ sent: "no", reason: "TIMEOUT" });
  });

  test("over a trusted connection works, and may have been heard when it is cut", async () => {
    const { port, certificate } = await httpsServer(["IP:127.0.0.1"], (request, response) => {
      if (request.url === "/cut") response.destroy();
      else response.end("safe");
    });
    trust(certificate);
    const get = (path: string): HttpRequest => ({
      method: "GET",
      url: `https://127.0.0.1:${port}${path}`,
      headers: {},
      timeoutMs: 60_000,
    });
    expect(await send(get("/"))).toMatchObject({ status: 200, body: "safe" });
    expect(await failed(send(get("/cut")))).toEqual({ sent: "maybe", reason: "ECONNRESET" });
  });
});

describe("a local exchange", () => {
  test("with a secret goes to a loopback address or nowhere", async () => {
    for (const host of ["192.0.2.1", "plex.example", "127.0.0.1.example", "[2001:db8::1]"]) {
      const request = withSecrets(`http://${host}:32400/`);
      expect(await failed(realHttp({}).local(request))).toEqual({ sent: "no", reason: "NOT_LOOPBACK" });
    }
  });

  test("takes no proxy, whatever the environment says", async () => {
    const proxy = await connectProxy(200);
    const port = await httpServer((_, response) => response.end("direct"));
    const source = new URL("../../src/world/http.ts", import.meta.url).href;
    const env = Object.fromEntries(
      ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"].map((name) => [name, proxy.url]),
    );
    // Node itself obeys these variables where NODE_USE_ENV_PROXY is set.
    const script = `
      const { realHttp } = await import(${JSON.stringify(source)});
      for (const door of ["local", "remote"]) {
        const request = { method: "GET", url: "http://localhost:${port}/", headers: {}, timeoutMs: 60000 };
        console.log((await realHttp(process.env)[door](request)).body);
      }`;
    const output = await printed(script, { ...env, NODE_USE_ENV_PROXY: "1" });
    expect(output).toBe("direct\ndirect\n");
    expect(proxy.lines).toEqual([]);
  });
});

describe("a remote exchange", () => {
  const target = withSecrets("https://plex.example/api/claim/exchange");

  test("goes through a tunnel of the proxy, which sees the host and nothing else", async () => {
    let url = "";
    const { port, certificate } = await httpsServer(["DNS:plex.example"], (request, response) => {
      url = request.url ?? "";
      response.end("through");
    });
    trust(certificate);
    for (const name of ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY"]) {
      const proxy = await connectProxy(200, port);
      expect(await realHttp({ [name]: proxy.url }).remote(target)).toMatchObject({ body: "through" });
      expect(proxy.lines).toEqual(["CONNECT plex.example:443 HTTP/1.1"]);
      expect(url).toBe(`/api/claim/exchange?token=${encodeURIComponent(CODE)}`);
    }
    const bare = await connectProxy(200, port);
    const withoutScheme = bare.url.replace("http://", "");
    expect((await realHttp({ HTTPS_PROXY: withoutScheme }).remote(target)).body).toBe("through");
  });

  test("cut after it went into the tunnel may have been heard", async () => {
    const { port, certificate } = await httpsServer(["DNS:plex.example"], (_, response) =>
      response.destroy(),
    );
    trust(certificate);
    const proxy = await connectProxy(200, port);
    expect((await failed(realHttp({ HTTPS_PROXY: proxy.url }).remote(target))).sent).toBe("maybe");

    const open = await httpServer((_, response) => response.destroy());
    const { url } = await connectProxy(200, open);
    const plain = { ...target, url: "http://plex.example/" };
    expect((await failed(realHttp({ HTTP_PROXY: url }).remote(plain))).sent).toBe("maybe");
  });

  test.each([403, 407, 502])("that the proxy refuses with %i was not sent", async (status) => {
    const proxy = await connectProxy(status);
    const http = realHttp({ HTTPS_PROXY: proxy.url });
    expect(await failed(http.remote(target))).toEqual({ sent: "no", reason: "PROXY_REFUSED" });
    expect(proxy.lines).toHaveLength(1);
  });

  test("whose proxy is away, silent or misspelt was not sent", async () => {
    const away = realHttp({ HTTPS_PROXY: at(await closedPort()) });
    expect(await failed(away.remote(target))).toEqual({ sent: "no", reason: "ECONNREFUSED" });
    const { url } = await connectProxy("never");
    const silent = realHttp({ HTTPS_PROXY: url });
    expect(await failed(silent.remote({ ...target, timeoutMs: 300 }))).toEqual({
      sent: "no",
      reason: "TIMEOUT",
    });
    for (const proxy of ["http://", "not a proxy", "ftp://127.0.0.1"]) {
      const misspelt = realHttp({ HTTPS_PROXY: proxy });
      expect(await failed(misspelt.remote(target))).toEqual({ sent: "no", reason: "PROXY_INVALID" });
    }
  });

  test("whose tunnel leads to a false certificate was not sent", async () => {
    const { port } = await httpsServer(["DNS:plex.example"], (_, response) => response.end());
    const proxy = await connectProxy(200, port);
    const http = realHttp({ HTTPS_PROXY: proxy.url });
    const refused = { sent: "no", reason: "DEPTH_ZERO_SELF_SIGNED_CERT" };
    expect(await failed(http.remote(target))).toEqual(refused);
  });

  test("demands a good certificate, directly and in a tunnel, whatever the environment says", async () => {
    const name = "NODE_TLS_REJECT_UNAUTHORIZED";
    const before = process.env[name];
    onTestFinished(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
    process.env[name] = "0";
    const { port } = await httpsServer(["DNS:elsewhere.example"], (_, response) => response.end());
    const refused = { sent: "no", reason: "DEPTH_ZERO_SELF_SIGNED_CERT" };
    expect(await failed(realHttp({}).remote({ ...target, url: `https://127.0.0.1:${port}/` }))).toEqual(
      refused,
    );
    const proxy = await connectProxy(200, port);
    expect(await failed(realHttp({ HTTPS_PROXY: proxy.url }).remote(target))).toEqual(refused);
    const secure = { HTTPS_PROXY: `https://127.0.0.1:${port}` };
    expect(await failed(realHttp(secure).remote(target))).toEqual(refused);
  });

  test("to this machine goes through no proxy", async () => {
    const proxy = await connectProxy(200);
    const http = realHttp({ HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url, http_proxy: proxy.url });
    const port = await httpServer((_, response) => response.end("direct"));
    for (const host of ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"]) {
      const answer = await http.remote({ ...target, url: `http://${host}:${port}/` });
      expect(answer.body).toBe("direct");
    }
    expect(proxy.lines).toEqual([]);
  });

  test("obeys NO_PROXY, and no variable that it was not given", async () => {
    const proxy = await connectProxy(403);
    const hidden = { ...target, url: "https://plex.invalid/", timeoutMs: 20_000 };
    for (const name of ["NO_PROXY", "no_proxy"]) {
      const http = realHttp({ HTTPS_PROXY: proxy.url, [name]: "other.example,.invalid" });
      expect((await failed(http.remote(hidden))).reason).not.toBe("PROXY_REFUSED");
    }
    const before = process.env["HTTPS_PROXY"];
    onTestFinished(() => {
      if (before === undefined) delete process.env["HTTPS_PROXY"];
      else process.env["HTTPS_PROXY"] = before;
    });
    process.env["HTTPS_PROXY"] = proxy.url;
    expect((await failed(realHttp({}).remote(hidden))).reason).not.toBe("PROXY_REFUSED");
    expect(proxy.lines).toEqual([]);
  });
});

test("only addresses that cannot leave this machine count as loopback", () => {
  for (const host of ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "::1"]) {
    expect([host, isLoopback(host)]).toEqual([host, true]);
  }
  expect(isLoopback(new URL("http://[::ffff:127.0.0.1]/").hostname)).toBe(true);
  expect(isLoopback(new URL("http://0x7f.1/").hostname)).toBe(true);
  for (const host of [
    "a.localhost",
    "localhost.example",
    "127.0.0.1.example",
    "127.example",
    "0.0.0.0",
    "[::]",
    "[::2]",
    "10.0.0.1",
    "",
  ]) {
    expect([host, isLoopback(host)]).toEqual([host, false]);
  }
});

/** Adds a certificate to those that this process trusts, until the test ends. */
function trust(certificate: string): void {
  const before = tls.getCACertificates("default");
  onTestFinished(() => tls.setDefaultCACertificates(before));
  tls.setDefaultCACertificates([...before, certificate]);
}

/** What a script prints that runs in a Node of its own, with nothing but `env`; the servers here go on meanwhile. */
async function printed(script: string, env: Record<string, string>): Promise<string> {
  const args = ["--input-type=module", "-e", script];
  return (await promisify(execFile)(process.execPath, args, { env })).stdout;
}
