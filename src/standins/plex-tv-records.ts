import { createHash, randomBytes, randomInt, randomUUID } from "node:crypto";

export interface Account {
  readonly id: number;
  readonly uuid: string;
  readonly username: string;
  readonly email: string;
}

/** A sign-in: of one account, for one device. */
export interface SignIn {
  readonly token: string;
  readonly account: Account;
  readonly device: string;
}

export interface Pin {
  readonly id: number;
  readonly code: string;
  readonly device: string;
  readonly product: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Set once somebody has typed the code in. */
  signIn: SignIn | null;
}

/** How a claim code fared. */
export type Exchange =
  | { readonly outcome: "ok"; readonly signIn: SignIn }
  | { readonly outcome: "unknown" | "spent" | "expired" };

/** Four minutes (LSIO, UCR; F-DSM says five: the shorter one is the one to survive). */
export const CLAIM_CODE_LIFETIME_MS = 4 * 60_000;

/** 900 s (OAS). */
export const PIN_LIFETIME_MS = 900_000;

/** A short name for a secret that does not give it away. */
export function fingerprint(secret: string): string {
  return createHash("sha256").update(secret).digest("hex").slice(0, 12);
}

/**
 * What plex.tv knows: accounts, claim codes, sign-ins, pins, published servers. In memory, with a clock that
 * can be put forward. Methods that name an account by its user name throw `NO_SUCH_ACCOUNT`.
 */
export class PlexTvRecords {
  readonly #accounts = new Map<string, Account>();
  readonly #codes = new Map<string, { account: Account; expiresAt: number; spent: boolean }>();
  readonly #signIns = new Map<string, SignIn>();
  readonly #pins = new Map<number, Pin>();
  readonly #servers = new Map<string, { readonly signIn: SignIn; published: boolean }>();
  #clockOffsetMs = 0;

  now(): number {
    return Date.now() + this.#clockOffsetMs;
  }

  advanceClock(ms: number): void {
    this.#clockOffsetMs += ms;
  }

  /** An account that is there already stays as it is. */
  addAccount(username: string, email: string): Account {
    const known = this.#accounts.get(username);
    if (known !== undefined) return known;
    const account = { id: 1000 + this.#accounts.size, uuid: randomBytes(8).toString("hex"), username, email };
    this.#accounts.set(username, account);
    return account;
  }

  account(username: string): Account {
    const account = this.#accounts.get(username);
    if (account === undefined) throw new Error("NO_SUCH_ACCOUNT");
    return account;
  }

  /** `claim-` and 20 characters, from https://www.plex.tv/claim or the API (PYPLEX, UCR). */
  issueClaimCode(username: string): string {
    const code = `claim-${characters(20)}`;
    const expiresAt = this.now() + CLAIM_CODE_LIFETIME_MS;
    this.#codes.set(code, { account: this.account(username), expiresAt, spent: false });
    return code;
  }

  /** Single use (public sample); `to` gives the sign-in to another account than the code's. */
  exchange(code: string, device: string, to?: string): Exchange {
    const known = this.#codes.get(code);
    if (known === undefined) return { outcome: "unknown" };
    if (known.spent) return { outcome: "spent" };
    if (known.expiresAt <= this.now()) return { outcome: "expired" };
    known.spent = true;
    const account = to === undefined ? known.account : this.account(to);
    return { outcome: "ok", signIn: this.issueServerToken(account.username, device) };
  }

  /** A sign-in of a server: as after an exchange, without one. */
  issueServerToken(username: string, device: string): SignIn {
    const signIn = this.#issueToken(this.account(username), device);
    this.#servers.set(device, { signIn, published: false });
    return signIn;
  }

  /** A sign-in of something that is no server: a browser, a script. */
  issueUserToken(username: string, device: string): SignIn {
    return this.#issueToken(this.account(username), device);
  }

  signInOf(token: string): SignIn | undefined {
    return this.#signIns.get(token);
  }

  signOut(token: string): void {
    this.#signIns.delete(token);
  }

  /** "Sign out connected devices" of a password reset: every token of the account dies, servers' too (SUP-PWD). */
  revokeAll(username: string): void {
    const account = this.account(username);
    for (const [token, signIn] of this.#signIns) if (signIn.account === account) this.#signIns.delete(token);
  }

  /** A server shows up under the account's resources only once it has published itself (public sample). */
  publish(device: string): void {
    const server = this.#servers.get(device);
    if (server !== undefined) server.published = true;
  }

  publishedServers(account: Account): { device: string; signIn: SignIn }[] {
    return [...this.#servers]
      .filter(([, server]) => server.published && server.signIn.account === account)
      .filter(([, server]) => this.#signIns.has(server.signIn.token))
      .map(([device, { signIn }]) => ({ device, signIn }));
  }

  /** Four characters for plex.tv/link, 25 for a strong pin (OAS). */
  makePin(device: string, product: string, strong: boolean): Pin {
    const createdAt = this.now();
    const code = strong ? characters(25) : characters(4).toUpperCase();
    const id = 100_000 + this.#pins.size;
    const pin: Pin = {
      id,
      code,
      device,
      product,
      createdAt,
      expiresAt: createdAt + PIN_LIFETIME_MS,
      signIn: null,
    };
    this.#pins.set(id, pin);
    return pin;
  }

  /** Undefined for an unknown or expired pin, and (UNVERIFIED) for one of another device. */
  pin(id: number, device: string): Pin | undefined {
    const pin = this.#pins.get(id);
    return pin !== undefined && pin.expiresAt > this.now() && pin.device === device ? pin : undefined;
  }

  /** Somebody signed in as this account types the code in. Throws `NO_SUCH_PIN`. */
  linkPin(code: string, username: string): void {
    const pin = [...this.#pins.values()].find((each) => each.code === code && each.expiresAt > this.now());
    if (pin === undefined) throw new Error("NO_SUCH_PIN");
    pin.signIn = this.#issueToken(this.account(username), pin.device);
  }

  /** "A single token per (account, client identifier)": a new one rotates the previous one out (STRM). */
  #issueToken(account: Account, device: string): SignIn {
    for (const [token, old] of this.#signIns)
      if (old.account === account && old.device === device) this.#signIns.delete(token);
    const signIn = { token: characters(20), account, device };
    this.#signIns.set(signIn.token, signIn);
    return signIn;
  }
}

/** A device id as the real server has one: 40 hex digits. Random: nothing may depend on how it came about. */
export function randomDeviceId(): string {
  return createHash("sha1").update(randomUUID()).digest("hex");
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

function characters(count: number): string {
  return Array.from({ length: count }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
}
