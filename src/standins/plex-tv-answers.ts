import { type Element, escapeXml, toXml } from "./markup.ts";
import type { Mode } from "./plex-tv-mode.ts";
import type { Pin, PlexTvRecords, SignIn } from "./plex-tv-records.ts";
import { html, json, plexHeader, type Question, type Reply, wantsJson, xml } from "./reply.ts";

export const EXCHANGE_PATH = "/api/claim/exchange";

/** Something that reaches the caller: a whole answer, part of one, a cut connection, or nothing at all. */
export type Outcome =
  | { readonly kind: "reply"; readonly reply: Reply }
  | { readonly kind: "cut-off"; readonly reply: Reply }
  | { readonly kind: "cut" }
  | { readonly kind: "silence" };

/** Answers one request to plex.tv in a mode. */
export function answer(records: PlexTvRecords, mode: Mode, question: Question): Outcome {
  const isExchange = question.path === EXCHANGE_PATH && question.method === "POST";
  const failure = failureOf(mode);
  if (failure !== null) return failure;
  if (!isExchange) return { kind: "reply", reply: route(records, question) };
  const other = mode.kind === "other-account" ? mode.account : undefined;
  const reply = exchange(records, question, mode.kind === "empty-token", other);
  if (reply.status !== 200) return { kind: "reply", reply };
  if (mode.kind === "cut-off-body") return { kind: "cut-off", reply };
  if (mode.kind === "answer-lost") return { kind: mode.how ?? "cut" };
  return { kind: "reply", reply };
}

/** The failures in which plex.tv itself does nothing. */
function failureOf(mode: Mode): Outcome | null {
  switch (mode.kind) {
    case "refused":
      return { kind: "reply", reply: refusal(mode.status ?? 403) };
    case "expired":
      return { kind: "reply", reply: refusal(400) };
    case "server-error":
      return { kind: "reply", reply: html(mode.status ?? 500, "<html><body><h1>Oops</h1></body></html>") };
    case "rate-limited": {
      const reply = html(429, "<html><body><h1>Too Many Requests</h1></body></html>");
      if (mode.retryAfter === null) return { kind: "reply", reply };
      const headers = { ...reply.headers, "retry-after": String(mode.retryAfter) };
      return { kind: "reply", reply: { ...reply, headers } };
    }
    case "captive-portal": {
      const page = html(mode.redirect ? 302 : 200, "<html><body><h1>Welcome to our Wi-Fi</h1></body></html>");
      if (!mode.redirect) return { kind: "reply", reply: page };
      const headers = { ...page.headers, location: "http://127.0.0.1:9/" };
      return { kind: "reply", reply: { ...page, headers } };
    }
    case "hang":
      return { kind: "silence" };
    default:
      return null;
  }
}

function route(records: PlexTvRecords, question: Question): Reply {
  const handler = ROUTES[`${question.method} ${question.path}`];
  if (handler !== undefined) return handler(records, question);
  const pin = /^\/api\/v2\/pins\/(\d+)$/.exec(question.path);
  if (question.method === "GET" && pin !== null) return pollPin(records, question, Number(pin[1]));
  const device = /^\/devices\/([^/]+)$/.exec(question.path);
  if (question.method === "PUT" && device !== null) return publish(records, question, device[1] ?? "");
  return json(404, { errors: [{ code: 404, message: "Not Found", status: 404 }] });
}

const ROUTES: Readonly<Record<string, (records: PlexTvRecords, question: Question) => Reply>> = {
  // v1 and v2 of the claim code by API (PYPLEX, CPW, CLAIMIT).
  "GET /api/claim/token.json": claimCode,
  "GET /api/v2/claim/token": claimCode,
  "POST /api/v2/pins": makePin,
  // 200/401 (OAS). The body's names beyond id, username and email: UNVERIFIED.
  "GET /api/v2/user": (records, question) =>
    signedIn(records, question, ({ account, token }) =>
      json(200, { ...account, title: account.username, authToken: token, home: false }),
    ),
  "GET /api/v2/resources": (records, question) =>
    signedIn(records, question, (signIn) => json(200, resources(records, signIn))),
  // 401 means an invalid token; without one it is a plain ping (TAUT; the latter UNVERIFIED).
  "GET /api/v2/ping": (records, question) =>
    tokenOf(question) === "" ? json(200, { pong: true }) : signedIn(records, question, () => PONG),
  // Signs out the device that asks (PYPLEX); 204 UNVERIFIED.
  "DELETE /api/v2/users/signout": (records, question) =>
    signedIn(records, question, ({ token }) => {
      records.signOut(token);
      return { status: 204, headers: {}, body: "" };
    }),
  // Asked by the server itself (LS#420). Its answer to no token and to a dead one: UNVERIFIED.
  "GET /api/v2/features": (records, question) =>
    tokenOf(question) === "" ? json(200, []) : signedIn(records, question, () => json(200, [])),
  // 401 for no token or a dead one (LS#420); 403 when it belongs to another device (F-403, INFER).
  "GET /api/v2/server/users/features": (records, question) =>
    signedIn(records, question, ({ device }) =>
      device === deviceOf(question) ? json(200, []) : errorReply(403, 1003, "Forbidden"),
    ),
};

const PONG: Reply = json(200, { pong: true });

/** `POST /api/claim/exchange?token=` with the server's device id in X-Plex-Client-Identifier (PMSD, LSIO, UCR). */
function exchange(
  records: PlexTvRecords,
  question: Question,
  withoutToken: boolean,
  other: string | undefined,
): Reply {
  const device = deviceOf(question);
  if (device === "") return refusal(400);
  const result = records.exchange(question.query.get("token") ?? "", device, other);
  if (result.outcome !== "ok") return refusal(400);
  const { account, token } = result.signIn;
  const leaf = (name: string, value: string) => `  <${name}>${escapeXml(value)}</${name}>\n`;
  const fields =
    leaf("username", account.username) +
    leaf("email", account.email) +
    leaf("authentication-token", withoutToken ? "" : token);
  return xml(
    200,
    `<?xml version="1.0" encoding="UTF-8"?>\n<user>\n  <id>${account.id}</id>\n${fields}</user>\n`,
  );
}

/** What a refused code is answered with. 400 was seen by users (CI#45); the body is UNVERIFIED. */
function refusal(status: number): Reply {
  const element: Element = {
    name: "errors",
    attributes: {},
    children: [{ name: "error", attributes: { code: status, message: "Invalid token", status } }],
  };
  return xml(status, toXml(element));
}

function claimCode(records: PlexTvRecords, question: Question): Reply {
  return signedIn(records, question, ({ account }) =>
    json(200, { token: records.issueClaimCode(account.username) }),
  );
}

/** 201 and `authToken: null` (OAS). Without a client identifier 400: UNVERIFIED. */
function makePin(records: PlexTvRecords, question: Question): Reply {
  const device = deviceOf(question);
  if (device === "") return errorReply(400, 1000, "X-Plex-Client-Identifier is missing");
  const product = plexHeader(question, "x-plex-product");
  const strong = question.query.get("strong") === "true";
  const pin = records.makePin(device, product, strong);
  return pinReply(201, pin, question, pin.createdAt);
}

/** An expired pin: 404, code 1020 (OAS). */
function pollPin(records: PlexTvRecords, question: Question, id: number): Reply {
  const pin = records.pin(id, deviceOf(question));
  if (pin === undefined) return errorReply(404, 1020, "Code not found or expired");
  return pinReply(200, pin, question, records.now());
}

function pinReply(status: number, pin: Pin, question: Question, now: number): Reply {
  const fields = {
    id: pin.id,
    code: pin.code,
    product: pin.product,
    trusted: false,
    qr: `https://plex.tv/api/v2/pins/qr/${pin.code}`,
    clientIdentifier: pin.device,
    expiresIn: Math.floor((pin.expiresAt - now) / 1000),
    createdAt: new Date(pin.createdAt).toISOString(),
    expiresAt: new Date(pin.expiresAt).toISOString(),
  };
  const token = pin.signIn?.token ?? null;
  if (wantsJson(question)) return json(status, { ...fields, authToken: token, newRegistration: null });
  return xml(status, toXml({ name: "pin", attributes: { ...fields, authToken: token ?? "" } }));
}

/** `PUT /devices/{id}?Connection[][uri]=…`: the server makes itself known (LS#420). */
function publish(records: PlexTvRecords, question: Question, device: string): Reply {
  return signedIn(records, question, (signIn) => {
    if (signIn.device !== device) return errorReply(403, 1003, "Forbidden");
    records.publish(device);
    return xml(200, toXml({ name: "Device", attributes: { clientIdentifier: device } }));
  });
}

/** Field names from PYPLEX. That an owner's access token is the server's own: UNVERIFIED, and simple. */
function resources(records: PlexTvRecords, { account }: SignIn): unknown[] {
  return records.publishedServers(account).map(({ device, signIn }) => ({
    name: "Stand-in",
    product: "Plex Media Server",
    clientIdentifier: device,
    provides: "server",
    owned: true,
    accessToken: signIn.token,
    presence: true,
    publicAddressMatches: true,
    httpsRequired: false,
    connections: [],
  }));
}

function signedIn(records: PlexTvRecords, question: Question, then: (signIn: SignIn) => Reply): Reply {
  const signIn = records.signInOf(tokenOf(question));
  if (signIn === undefined) return errorReply(401, 1001, "User could not be authenticated");
  return then(signIn);
}

/** The shape is the one of code 1020 (OAS); the other numbers are UNVERIFIED. */
function errorReply(status: number, code: number, message: string): Reply {
  return json(status, { errors: [{ code, message, status }] });
}

function tokenOf(question: Question): string {
  return plexHeader(question, "x-plex-token");
}

function deviceOf(question: Question): string {
  return plexHeader(question, "x-plex-client-identifier");
}
