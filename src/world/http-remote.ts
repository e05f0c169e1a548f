import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Dispatcher } from "undici";
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

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * One exchange with a server on the internet, through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and
 * `NO_PROXY` name (lower case wins, as in curl), which loopback hosts never go through. A redirect is an
 * answer like others. Nothing is ever sent twice.
 */
export async function requestRemote(request: HttpRequest, env: Environment): Promise<HttpAnswer> {
  const out = outgoing(request);
  const deadline = startDeadline(request);
  const progress: Progress = { sent: false, answering: false };
  const { stop } = watchSending(out, progress);
  try {
    return await exchanged(out, deadline, progress, env);
  } catch (error) {
    throw failure(error, progress, deadline);
  } finally {
    stop();
    deadline.stop();
  }
}

async function exchanged(out: Outgoing, deadline: Deadline, progress: Progress, env: Environment) {
  const dispatcher = await dispatcherFor(out.url, env, deadline.timeoutMs);
  try {
    // undici looks at a signal only once it is connected: a hanging connection has to be left alone.
    return await Promise.race([deadline.ended, answered(out, deadline, progress, dispatcher)]);
  } finally {
    void dispatcher.destroy().catch(ignore);
  }
}

async function answered(out: Outgoing, deadline: Deadline, progress: Progress, dispatcher: Dispatcher) {
  const { request } = await import("undici");
  if (deadline.signal.aborted) throw deadline.signal.reason;
  const { url, method, headers } = out;
  const answer = await request(url, { dispatcher, method, headers, signal: deadline.signal });
  progress.answering = true;
  const body = new Body();
  for await (const chunk of answer.body) body.add(chunk);
  return { status: answer.statusCode, headers: flatHeaders(answer.headers), body: body.text() };
}

/** A dispatcher for one exchange: no connection is used twice, so none can be found closed by surprise. */
async function dispatcherFor(url: URL, env: Environment, timeoutMs: number): Promise<Dispatcher> {
  const { Agent, EnvHttpProxyAgent } = await import("undici");
  // The exchange has one deadline, our own; this one only collects connections that were left alone.
  // Said, not left to the default: NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment would change that.
  const connect = { timeout: timeoutMs, rejectUnauthorized: true };
  const limits = { connect, headersTimeout: 0, bodyTimeout: 0, pipelining: 0 };
  if (isLoopback(url.hostname)) return new Agent(limits);
  // Empty, not absent: undici looks an absent one up in the environment of this process.
  const httpProxy = proxyUrl(env["http_proxy"] || env["HTTP_PROXY"]);
  const httpsProxy = proxyUrl(env["https_proxy"] || env["HTTPS_PROXY"]) || httpProxy;
  const noProxy = env["no_proxy"] || env["NO_PROXY"] || "";
  const tunnel = { requestTls: connect, proxyTls: connect };
  return new EnvHttpProxyAgent({ ...limits, ...tunnel, httpProxy, httpsProxy, noProxy });
}

/** Like curl, a proxy without a scheme is one of http. */
function proxyUrl(value: string | undefined): string {
  if (value === undefined || value === "") return "";
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  const scheme = URL.canParse(url) ? new URL(url).protocol : "";
  if (scheme !== "http:" && scheme !== "https:") throw new HttpFailure("no", "PROXY_INVALID");
  return url;
}

/**
 * undici announces a request on this channel just before its first byte is written: until then it is certain
 * that nothing was sent. The request to a proxy for a tunnel has the host as its path and holds nothing of ours.
 */
function watchSending(out: Outgoing, progress: Progress): { stop(): void } {
  const path = `${out.url.pathname}${out.url.search}`;
  const seen = (message: unknown) => {
    const { request } = message as { request: { path: string } };
    if (request.path.endsWith(path)) progress.sent = true;
  };
  subscribe(SENDING, seen);
  return { stop: () => unsubscribe(SENDING, seen) };
}

const SENDING = "undici:client:sendHeaders";

function ignore(): void {
  // It is being thrown away.
}
