import type { IncomingMessage, ServerResponse } from "node:http";

/** A whole HTTP answer as data. */
export interface Reply {
  readonly status: number;
  readonly statusText?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What a stand-in looks at in a request. Header names in lower case. */
export interface Question {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function xml(status: number, body: string): Reply {
  return { status, headers: { "content-type": "text/xml;charset=utf-8" }, body };
}

export function json(status: number, value: unknown): Reply {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8" },
    body: JSON.stringify(value),
  };
}

export function html(status: number, body: string): Reply {
  return { status, headers: { "content-type": "text/html" }, body };
}

/** Whether the caller asked for JSON; without that Plex answers XML (OAS). */
export function wantsJson(question: Question): boolean {
  return (question.headers["accept"] ?? "").includes("application/json");
}

/** A header of Plex's, which may as well stand in the query (OAS); `name` in lower case. */
export function plexHeader(question: Question, name: string): string {
  const header = question.headers[name];
  if (header !== undefined) return header;
  for (const [key, value] of question.query) if (key.toLowerCase() === name) return value;
  return "";
}

/** Reads a request to its end, at most 64 KiB of it; null when its address cannot be read. */
export async function readQuestion(request: IncomingMessage): Promise<Question | null> {
  let body = "";
  for await (const chunk of request) if (body.length < 65_536) body += String(chunk);
  const url = URL.parse(request.url ?? "", "http://standin");
  if (url === null) return null;
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value);
  return { method: request.method ?? "", path: url.pathname, query: url.searchParams, headers, body };
}

export function send(response: ServerResponse, reply: Reply): void {
  const headers = { ...reply.headers, "content-length": String(Buffer.byteLength(reply.body)) };
  if (reply.statusText === undefined) response.writeHead(reply.status, headers);
  else response.writeHead(reply.status, reply.statusText, headers);
  response.end(reply.body);
}
