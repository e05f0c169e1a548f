import { isLoopbackUrl } from "../model/loopback.ts";
import { printable } from "../model/printable.ts";
import type { Secret } from "../model/secret.ts";
import { type HttpAnswer, HttpFailure, type World } from "../world/world.ts";
import { objectIn, readAnswer, type StructuredAnswer } from "./answer.ts";

export type IdentityAnswer =
  | {
      readonly kind: "answers";
      readonly machineIdentifier: string;
      readonly claimed: boolean;
      readonly version: string;
    }
  /** 503: it is starting, or at work on its database (seconds, or hours after an upgrade). */
  | { readonly kind: "maintenance" }
  | { readonly kind: "silent" }
  | { readonly kind: "nonsense"; readonly status: number };

/** Why there is no status: nobody answered, or the token was not sent because the address is not this machine. */
type NoStatus = { readonly kind: "silent" } | { readonly kind: "not-loopback" };

export type LibrariesAnswer =
  | NoStatus
  /** `count` is null where the answer is no list of libraries. */
  | { readonly kind: "status"; readonly status: number; readonly count: number | null };

export type AccountAnswer =
  | NoStatus
  | {
      readonly kind: "status";
      readonly status: number;
      /** Made printable, at most 256 characters; null where absent. A user name, on older servers the e-mail. */
      readonly username: string | null;
      /** `ok` or `none` were seen. */
      readonly signInState: string | null;
      readonly mappingState: string | null;
    };

/**
 * `GET /identity`, which needs no sign-in. Its `claimed` alone proves nothing about a sign-in that works.
 * Source: OpenAPI 1.2.2; the 503 while starting: public samples.
 */
export async function identity(world: HttpWorld, url: string): Promise<IdentityAnswer> {
  const answer = await get(world, url, "/identity", null);
  if ("kind" in answer) return { kind: "silent" };
  if (answer.status === 503) return { kind: "maintenance" };
  const container = answer.status === 200 ? membersOf(readAnswer(answer.body), "MediaContainer") : null;
  const machineIdentifier = container?.text("machineIdentifier") ?? "";
  if (container === null || machineIdentifier === "") return { kind: "nonsense", status: answer.status };
  return {
    kind: "answers",
    machineIdentifier,
    claimed: container.flag("claimed"),
    version: container.text("version") ?? "",
  };
}

/**
 * `GET /library/sections` with a token or, to see whether the server is open to everybody, with none.
 * A token goes to a loopback address only: to any other the answer is `not-loopback` and nothing is sent.
 * Errors have no body worth reading (a bare 401 page: public samples): the status is all.
 */
export async function authorisedLibraries(
  world: HttpWorld,
  url: string,
  token: Secret | null,
): Promise<LibrariesAnswer> {
  const answer = await get(world, url, "/library/sections", token);
  if ("kind" in answer) return answer;
  const { status } = answer;
  const container = status === 200 ? membersOf(readAnswer(answer.body), "MediaContainer") : null;
  return { kind: "status", status, count: container?.entries("Directory") ?? null };
}

/**
 * `GET /myplex/account`: whom the server itself believes to be signed in as. The token as above.
 * Source: python-plexapi, which gives up `authToken` for 1.43; 403 with a valid-looking token: forum 932522.
 */
export async function account(world: HttpWorld, url: string, token: Secret): Promise<AccountAnswer> {
  const answer = await get(world, url, "/myplex/account", token);
  if ("kind" in answer) return answer;
  const { status } = answer;
  const signedIn = status === 200 ? membersOf(readAnswer(answer.body), "MyPlex") : null;
  return {
    kind: "status",
    status,
    username: signedIn?.text("username") ?? null,
    signInState: signedIn?.text("signInState") ?? null,
    mappingState: signedIn?.text("mappingState") ?? null,
  };
}

type HttpWorld = Pick<World, "http">;

async function get(
  world: HttpWorld,
  url: string,
  path: string,
  token: Secret | null,
): Promise<HttpAnswer | NoStatus> {
  if (token !== null && !isLoopbackUrl(url)) return { kind: "not-loopback" };
  try {
    return await world.http.local({
      method: "GET",
      url: `${url.replace(/\/+$/, "")}${path}`,
      headers: { Accept: "application/json", ...(token === null ? {} : { "X-Plex-Token": token }) },
      timeoutMs: ASK_MS,
    });
  } catch (error) {
    if (error instanceof HttpFailure) return { kind: "silent" };
    throw error;
  }
}

const ASK_MS = 5_000;
const LONGEST_TEXT = 256;

interface Members {
  text(name: string): string | null;
  flag(name: string): boolean;
  /** How many children, or entries of an array, have the name. */
  entries(name: string): number;
}

/** The same view on `<Name a="b"><Entry/></Name>` and `{"Name":{"a":"b","Entry":[{}]}}`; null for anything else. */
function membersOf(answer: StructuredAnswer | null, name: string): Members | null {
  if (answer === null) return null;
  if (answer.format === "xml") {
    const { root } = answer;
    if (root.name !== name) return null;
    return {
      text: (member) => shown(root.attributes.get(member)),
      flag: (member) => isTrue(root.attributes.get(member)),
      entries: (member) => root.children.filter((child) => child.name === member).length,
    };
  }
  const object = objectIn(answer.object, name);
  if (object === null) return null;
  const own = (member: string): unknown => (Object.hasOwn(object, member) ? object[member] : undefined);
  return {
    text: (member) => shown(own(member)),
    flag: (member) => isTrue(own(member)),
    entries: (member) => {
      const list = own(member);
      return Array.isArray(list) ? list.length : 0;
    },
  };
}

function shown(value: unknown): string | null {
  return typeof value === "string" ? printable(value, LONGEST_TEXT) : null;
}

/** `claimed` was seen as a boolean, as 0 and 1, and as text. */
function isTrue(value: unknown): boolean {
  return value === true || value === 1 || value === "1" || value === "true";
}
