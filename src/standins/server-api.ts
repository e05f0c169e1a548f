import { type Element, toJson, toXml } from "./markup.ts";
import type { Preferences } from "./preferences.ts";
import { html, json, plexHeader, type Question, type Reply, wantsJson, xml } from "./reply.ts";
import type { ServerBehaviour } from "./server-behaviour.ts";
import type { ServerLog } from "./server-log.ts";
import type { ServerSignIn } from "./server-sign-in.ts";

/** The server's own HTTP addresses (facts on each below). It listens on loopback only: every caller is local. */
export class ServerApi {
  readonly #preferences: Preferences;
  readonly #behaviour: ServerBehaviour;
  readonly #signIn: ServerSignIn;
  readonly #log: ServerLog;
  /** While true, every address answers 503. */
  inMaintenance = false;

  constructor(preferences: Preferences, behaviour: ServerBehaviour, signIn: ServerSignIn, log: ServerLog) {
    this.#preferences = preferences;
    this.#behaviour = behaviour;
    this.#signIn = signIn;
    this.#log = log;
  }

  async answer(question: Question): Promise<Reply> {
    if (this.inMaintenance) return MAINTENANCE;
    switch (`${question.method} ${question.path}`) {
      case "GET /identity":
        return show(question, this.#identity());
      case "GET /web":
        return { ...html(302, ""), headers: { location: "/web/index.html" } };
      case "GET /web/index.html":
        return html(200, "<html><head><title>Plex</title></head><body></body></html>");
      case "POST /myplex/claim":
        return this.#claim(question);
      case "GET /":
        return this.#allowed(question, () => show(question, this.#root()));
      case "GET /library/sections":
        return this.#allowed(question, () => show(question, SECTIONS));
      case "GET /:/prefs":
        return this.#allowed(question, () => show(question, this.#settings()));
      case "PUT /:/prefs":
        return this.#allowed(question, () => this.#changeSettings(question));
      case "GET /myplex/account":
        return this.#owned(question, () => show(question, this.#account()));
      case "DELETE /myplex/account":
        return this.#owned(question, async () => {
          await this.#signIn.signOut();
          return show(question, this.#account());
        });
      default:
        return page(404, "Not Found");
    }
  }

  /** For the owner; on an unclaimed server for anybody near: it trusts what it sees as directly attached. */
  async #allowed(question: Question, then: () => Reply | Promise<Reply>): Promise<Reply> {
    if (this.#signIn.claimed) return this.#owned(question, then);
    return this.#behaviour.foreign ? unauthorized(question) : then();
  }

  /**
   * For the owner: the token in memory, as long as plex.tv accepts it. A server whose token was revoked thus
   * refuses its own owner although it is claimed (F-NOTAUTH); 403 for everything was seen as well (F-403).
   * `/myplex/account` without a sign-in: 401 is UNVERIFIED.
   */
  async #owned(question: Question, then: () => Reply | Promise<Reply>): Promise<Reply> {
    const given = plexHeader(question, "x-plex-token");
    if (!this.#signIn.claimed || given !== this.#signIn.token) return unauthorized(question);
    if (this.#behaviour.forbidden) return page(403, "Forbidden");
    const standing = await this.#signIn.standing();
    if (standing === "revoked") return unauthorized(question);
    if (standing === "not-bound") return page(403, "Forbidden");
    this.#log.write("DEBUG", "Auth: Came in with a super-token, authorization succeeded.");
    return then();
  }

  /** 401 for a bad or expired code, a caller that is not local, and a server that is claimed (PYPLEX, BINHEX). */
  async #claim(question: Question): Promise<Reply> {
    const code = question.query.get("token") ?? "";
    if (this.#signIn.claimed || this.#behaviour.foreign) return unauthorized(question);
    return (await this.#signIn.claim(code)) ? show(question, this.#account()) : unauthorized(question);
  }

  /** Without any token, always; shape of both forms: OAS. */
  #identity(): Element {
    const attributes = {
      size: 0,
      apiVersion: "1.2.2",
      claimed: this.#signIn.claimed,
      machineIdentifier: this.#preference("ProcessedMachineIdentifier"),
      version: this.#behaviour.version,
    };
    return { name: "MediaContainer", attributes };
  }

  #root(): Element {
    const { claimed, username } = this.#signIn;
    const attributes = {
      size: 1,
      apiVersion: "1.2.2",
      claimed,
      friendlyName: this.#preference("FriendlyName"),
      machineIdentifier: this.#preference("ProcessedMachineIdentifier"),
      myPlex: claimed,
      myPlexMappingState: claimed ? "mapped" : "unknown",
      myPlexSigninState: claimed ? "ok" : "none",
      myPlexUsername: username,
      version: this.#behaviour.version,
    };
    return { name: "MediaContainer", attributes };
  }

  /** Since 1.43 without `authToken` (PYPLEX, CVE-2025-69414). Names from SPEC. */
  #account(): Element {
    const { claimed, username } = this.#signIn;
    const attributes = {
      username,
      mappingState: claimed ? "mapped" : "unknown",
      mappingError: "",
      mappingErrorMessage: "",
      signInState: claimed ? "ok" : "none",
      publicAddress: "192.0.2.7",
      publicPort: 32400,
      privateAddress: "127.0.0.1",
      privatePort: this.#behaviour.port,
      subscriptionFeatures: "",
      subscriptionActive: false,
      subscriptionState: "Unknown",
    };
    return { name: "MyPlex", attributes };
  }

  #settings(): Element {
    const attributes = { id: "FriendlyName", type: "text", value: this.#preference("FriendlyName") };
    return { name: "MediaContainer", attributes: { size: 1 }, children: [{ name: "Setting", attributes }] };
  }

  /** 400 for a preference it does not know (OAS). */
  #changeSettings(question: Question): Reply {
    const name = question.query.get("FriendlyName");
    if (name === null) return page(400, "Bad Request");
    this.#preferences.set("FriendlyName", name);
    return { status: 200, headers: {}, body: "" };
  }

  #preference(name: string): string {
    return this.#preferences.get(name) ?? "";
  }
}

/** Two libraries; names of the attributes from OAS. */
const SECTIONS: Element = {
  name: "MediaContainer",
  attributes: { size: 2, allowSync: false, title1: "Plex Library" },
  children: [
    {
      name: "Directory",
      attributes: { key: "1", type: "movie", title: "Movies", agent: "tv.plex.agents.movie" },
    },
    {
      name: "Directory",
      attributes: { key: "2", type: "show", title: "TV Shows", agent: "tv.plex.agents.series" },
    },
  ],
};

/** Status, reason and sentence: public sample. The element around them: UNVERIFIED. */
const MAINTENANCE: Reply = {
  ...xml(
    503,
    toXml({
      name: "Response",
      attributes: {
        code: 503,
        title: "Maintenance",
        status: "Plex Media Server is currently running startup maintenance tasks",
      },
    }),
  ),
  statusText: "Maintenance",
};

function show(question: Question, element: Element): Reply {
  return wantsJson(question) ? { ...json(200, null), body: toJson(element) } : xml(200, toXml(element));
}

/** No error has a JSON body (OAS); 91 bytes of HTML, and a variant on `/` (240-MP#240, SiCKRAGE#1406). */
function unauthorized(question: Question): Reply {
  const script = question.path === "/" ? "<script>window.location = 'web/index.html';</script>" : "";
  const reply = page(401, "Unauthorized", script);
  const headers = { ...reply.headers, "x-plex-protocol": "1.0", "cache-control": "no-cache" };
  return { ...reply, headers };
}

function page(status: number, title: string, script = ""): Reply {
  const head = `<head>${script}<title>${title}</title></head>`;
  return html(status, `<html>${head}<body><h1>${status} ${title}</h1></body></html>`);
}
