import {
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  request as requestHttp,
} from "node:http";
import { isLoopback } from "../model/loopback.ts";
import {
  Body,
  type Deadline,
  failure,
  flatHeaders,
  type Outgoing,
  outgoing,
  type Progress,
  startDeadline,
} from "./http-exchange.ts";
import { type HttpAnswer, HttpFailure, type HttpRequest } from "./world.ts";

/**
 * One exchange with a server on this machine (or at the address that the user gave for it): directly,
 * whatever proxy the environment names, over a connection of its own. A redirect is an answer like others.
 *
 * A request that holds a secret goes to a loopback address or not at all (`NOT_LOOPBACK`).
 */
export async function requestLocal(request: HttpRequest): Promise<HttpAnswer> {
  const out = outgoing(request);
  if (out.holdsSecret && !isLoopback(out.url.hostname)) throw new HttpFailure("no", "NOT_LOOPBACK");
  const deadline = startDeadline(request);
  const progress: Progress = { sent: false, answering: false };
  try {
    const requester = await requesterFor(out.url);
    const message = await answered(requester, optionsFor(out, deadline), progress);
    const body = await wholeBody(message, progress);
    return { status: message.statusCode ?? 0, headers: flatHeaders(message.headers), body };
  } catch (error) {
    throw failure(error, progress, deadline);
  } finally {
    deadline.stop();
  }
}

type Requester = (options: RequestOptions) => ClientRequest;

async function requesterFor(url: URL): Promise<Requester> {
  return url.protocol === "http:" ? requestHttp : (await import("node:https")).request;
}

function optionsFor({ url, method, headers }: Outgoing, deadline: Deadline): RequestOptions {
  return {
    method,
    headers,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port,
    path: `${url.pathname}${url.search}`,
    agent: false,
    signal: deadline.signal,
  };
}

function answered(
  requester: Requester,
  options: RequestOptions,
  progress: Progress,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = requester(options);
    request.once("socket", (socket) => {
      // Nothing is written before the connection stands; with TLS, before the certificate was accepted.
      const ready = "encrypted" in socket ? "secureConnect" : "connect";
      socket.once(ready, () => {
        progress.sent = true;
      });
    });
    request.on("error", reject);
    request.once("response", resolve);
    request.end();
  });
}

async function wholeBody(message: IncomingMessage, progress: Progress): Promise<string> {
  progress.answering = true;
  const body = new Body();
  for await (const chunk of message) body.add(chunk);
  return body.text();
}
