import { unescapeXml } from "./markup.ts";
import type { Preferences } from "./preferences.ts";
import type { ServerBehaviour } from "./server-behaviour.ts";
import type { ServerLog } from "./server-log.ts";

/** What plex.tv last said about the server's token. */
export type Standing = "accepted" | "revoked" | "not-bound" | "not-asked";

/** The server's sign-in at plex.tv: the four values in memory, and what plex.tv thinks of them. */
export class ServerSignIn {
  readonly #preferences: Preferences;
  readonly #behaviour: ServerBehaviour;
  readonly #log: ServerLog;
  #standing: Standing = "not-asked";
  #logged = "";
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;

  constructor(preferences: Preferences, behaviour: ServerBehaviour, log: ServerLog) {
    this.#preferences = preferences;
    this.#behaviour = behaviour;
    this.#log = log;
    if (behaviour.forgetSignIn) this.#forget();
  }

  /** Empty counts as none, whatever a container's script thinks of it (LS#328). */
  get token(): string {
    return this.#preferences.get("PlexOnlineToken") ?? "";
  }

  get claimed(): boolean {
    return this.token !== "";
  }

  get username(): string {
    return this.#preferences.get("PlexOnlineUsername") ?? "";
  }

  /** What plex.tv says, asked at most once a second; without an answer the last one holds. */
  async standing(): Promise<Standing> {
    if (performance.now() - this.#askedAt >= ASK_AT_MOST_EVERY_MS) await this.ask();
    else await this.#asking;
    return this.#standing;
  }

  /** Asks plex.tv now, and logs what changed. */
  ask(): Promise<void> {
    this.#askedAt = performance.now();
    this.#asking ??= this.#askOnce().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /**
   * Exchanges a claim code under the server's own device id, as `POST /myplex/claim` does (PYPLEX, BINHEX).
   * The result stays in memory until the server stops. False: the code was not taken.
   */
  async claim(code: string): Promise<boolean> {
    const answer = await this.#call("POST", `/api/claim/exchange?token=${encodeURIComponent(code)}`, "");
    const token = field(answer?.body ?? "", "authentication-token");
    if (answer?.status !== 200 || token === "") return false;
    this.#forget();
    this.#preferences.set("PlexOnlineToken", token);
    this.#preferences.set("PlexOnlineUsername", field(answer.body, "username"));
    this.#preferences.set("PlexOnlineMail", field(answer.body, "email"));
    await this.#asking;
    await this.ask();
    return true;
  }

  /** `DELETE /myplex/account` (PYPLEX). Whether the real one tells plex.tv: UNVERIFIED; this one does not. */
  async signOut(): Promise<void> {
    this.#forget();
    await this.#asking;
    await this.ask();
  }

  #forget(): void {
    for (const name of ["PlexOnlineToken", "PlexOnlineUsername", "PlexOnlineMail", "PlexOnlineHome"])
      this.#preferences.delete(name);
    this.#standing = "not-asked";
  }

  async #askOnce(): Promise<void> {
    const token = this.token;
    const general = await this.#call("GET", "/api/v2/features", token);
    const own = await this.#call("GET", "/api/v2/server/users/features", token);
    if (own !== null && token === this.token) this.#standing = STANDINGS[own.status] ?? this.#standing;
    const news = `${token} ${general?.status} ${own?.status}`;
    if (news === this.#logged) return;
    this.#logged = news;
    await this.#report(general?.status ?? null, own?.status ?? null);
  }

  /** The lines of facts on a healthy, a revoked, an unclaimed and a disconnected server (LS#420, F-403). */
  async #report(general: number | null, own: number | null): Promise<void> {
    const log = this.#log;
    const features = `https://plex.tv/api/v2/features?X-Plex-Token=${this.claimed ? MASK : ""}`;
    const ownFeatures = "https://plex.tv/api/v2/server/users/features";
    if (general === null) log.noResponse("GET", features);
    else log.response(general, "GET", features);
    if (own === null) log.noResponse("GET", ownFeatures);
    else log.response(own, "GET", ownFeatures);
    if (own === 200) return this.#publish();
    if (own !== null) log.write("ERROR", `MyPlex: Error ${own} requesting JSON from: ${ownFeatures}`);
    log.write("WARN", "FeatureManager: Couldn't get features. Trying again soon.");
  }

  /** Makes the server known under its account's resources, with the lines of a healthy one (public sample). */
  async #publish(): Promise<void> {
    const mail = this.#preferences.get("PlexOnlineMail") ?? "";
    const about = `user=${mail}, ip=192.0.2.7, port=${this.#behaviour.port}`;
    this.#log.write("DEBUG", `MyPlex: Sending Server Info to myPlex (${about})`);
    const uri = encodeURIComponent("http://192.0.2.7:32400");
    const path = `/devices/${this.#device}?${encodeURIComponent("Connection[][uri]")}=${uri}`;
    const published = await this.#call("PUT", path, this.token);
    if (published?.status !== 200) return;
    this.#log.write("DEBUG", "MyPlex: Published Mapping State response was 201");
    this.#log.write("DEBUG", "MyPlex: mapping state set to 'Mapped - Publishing'.");
  }

  get #device(): string {
    return this.#preferences.get("ProcessedMachineIdentifier") ?? "";
  }

  async #call(method: string, path: string, token: string): Promise<{ status: number; body: string } | null> {
    if (this.#behaviour.plexTvUrl === "") return null;
    const headers: Record<string, string> = {
      "X-Plex-Client-Identifier": this.#device,
      "X-Plex-Product": "Plex Media Server",
      "X-Plex-Version": this.#behaviour.version,
      "X-Plex-Provides": "server",
    };
    if (token !== "") headers["X-Plex-Token"] = token;
    const signal = AbortSignal.timeout(PLEXTV_DEADLINE_MS);
    try {
      const response = await fetch(`${this.#behaviour.plexTvUrl}${path}`, { method, headers, signal });
      return { status: response.status, body: await response.text() };
    } catch {
      return null;
    }
  }
}

const ASK_AT_MOST_EVERY_MS = 1000;

const PLEXTV_DEADLINE_MS = 2000;

/** Tokens are masked unless `logTokens` is set; an unclaimed server's is empty (PYPLEX, LS#420). */
const MASK = "x".repeat(20);

const STANDINGS: Readonly<Record<number, Standing>> = { 200: "accepted", 401: "revoked", 403: "not-bound" };

function field(body: string, name: string): string {
  return unescapeXml(new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? "");
}
