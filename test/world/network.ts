import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from "node:net";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect, onTestFinished } from "vitest";
import { HttpFailure } from "../../src/world/world.ts";
import { scratchFolder } from "./scratch.ts";

/** Listens on a free port of 127.0.0.1 until the test ends; answers the port. */
async function listening(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

export function httpServer(listener: RequestListener): Promise<number> {
  return listening(createHttpServer(listener));
}

/** A server below HTTP: gets each connection, with what came first on it. */
export function rawServer(answer: (socket: Socket, first: string) => void): Promise<number> {
  return listening(
    createTcpServer((socket) => {
      socket.once("data", (first) => answer(socket, first.toString("latin1")));
    }),
  );
}

/** A port on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Certified {
  readonly port: number;
  readonly certificate: string;
}

/** An HTTPS server with a new certificate of its own for `names`, valid for a day. */
export async function httpsServer(names: readonly string[], listener: RequestListener): Promise<Certified> {
  const folder = scratchFolder();
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const subject = ["-subj", "/CN=test", "-addext", `subjectAltName=${names.join(",")}`, "-days", "1"];
  execFileSync("openssl", [...request, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
  const certificate = readFileSync(cert, "utf8");
  const port = await listening(createHttpsServer({ key: readFileSync(key), cert: certificate }, listener));
  return { port, certificate };
}

export interface Proxy {
  readonly url: string;
  /** Start line of every request that the proxy got. */
  readonly lines: string[];
}

/** A proxy that answers CONNECT with `status` and, where that is 200, tunnels to `target` whatever was asked. */
export async function connectProxy(status: number | "never", target = 0): Promise<Proxy> {
  const lines: string[] = [];
  const port = await rawServer((socket, first) => {
    lines.push(first.split("\r\n")[0] ?? "");
    if (status === "never") return;
    socket.write(`HTTP/1.1 ${status} Answer\r\n${status === 200 ? "" : "content-length: 0\r\n"}\r\n`);
    if (status !== 200) return;
    const onward = connect(target, "127.0.0.1");
    onward.on("error", () => socket.destroy());
    socket.on("close", () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
  return { url: `http://127.0.0.1:${port}`, lines };
}

/** The failure of an exchange, after a look whether any of `secrets` can be found in it. */
export async function failureOf(
  exchange: Promise<unknown>,
  secrets: readonly string[] = [],
): Promise<Pick<HttpFailure, "sent" | "reason">> {
  const error = await exchange.then(
    () => expect.unreachable("the exchange did not fail"),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(HttpFailure);
  const { sent, reason, stack, cause } = error as HttpFailure;
  expect(cause).toBeUndefined();
  const everything = [inspect(error, { depth: 20, showHidden: true }), JSON.stringify(error), stack].join(
    "\n",
  );
  for (const secret of ["://", ...secrets]) expect(withoutStack(everything)).not.toContain(secret);
  return { sent, reason };
}

/** Lines of a stack hold the addresses of source files. */
function withoutStack(text: string): string {
  return text.replaceAll(/^\s+at .*$/gm, "");
}
