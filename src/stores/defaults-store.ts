import { createHash } from "node:crypto";
import { posix } from "node:path";
import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import type { CredentialChange, Settings } from "../model/settings.ts";
import { SystemError, type World } from "../world/world.ts";
import { bytesOf, contentOf, type DomainContent, NO_CONTENT, sameContent } from "./defaults-content.ts";
import {
  type DefaultsDomain,
  deleteKey,
  exportDomain,
  importDomain,
  importMerges,
  isListed,
} from "./defaults-domain.ts";
import { daemonFile, holdsKeys } from "./defaults-file.ts";
import {
  type DefaultsOperation,
  isMixed,
  operationsBack,
  operationsBetween,
  partsBetween,
  withoutParts,
} from "./defaults-operations.ts";
import { differingKeys, editPlist, parsePlistSettings } from "./plist-settings.ts";
import { imageOf } from "./preferences-file.ts";
import { malformed } from "./refusals.ts";
import { asNotReadable, ReadBackError } from "./replacement-errors.ts";
import type { Image, OriginalFile, SettingsStore, StoredImage, WritePart } from "./store.ts";
import { changedMeanwhile, TARGET_CAP_BYTES } from "./target-file.ts";

/**
 * The settings of a server on a Mac: the preferences domain of its account (support.plex.tv/articles/204281528), read
 * and changed through the system's own tool as that account. The preference daemon keeps it in memory and writes its
 * file when it likes, over what somebody else has put there (CoreFoundation release notes for 10.8): the file is looked
 * at, and never written. An image is the binary property list of the domain, in one form.
 *
 * A domain without keys counts as none: nothing tells the two apart. Nothing is held open, and nothing is left behind.
 * Besides what `SettingsStore` says, calls that look at the domain throw `SYSTEM_CALL_FAILED` for a tool that fails,
 * `SETTINGS_UNSAFE` for an exported file that is not the account's own, and `PRIVACY_PROTECTED` (see `daemonFile`).
 * `write` throws `DOMAIN_WRITE_FAILED` for whatever went wrong after it had found what it expected.
 *
 * Throws `INTERNAL` for a server whose account is not known, or is none of a Mac.
 */
export async function openDefaultsStore(
  world: DefaultsWorld,
  server: Pick<Server, "settingsPath" | "account">,
  options: DefaultsStoreOptions,
): Promise<SettingsStore> {
  const { account } = server;
  if (account === undefined || !("uid" in account)) {
    throw new ProblemError({ code: "INTERNAL", detail: "defaults-account" });
  }
  const domain = { world, user: account, name: DOMAIN, path: server.settingsPath };
  return new DefaultsStore(domain, options.readOnly);
}

export type DefaultsWorld = Pick<World, "run" | "user" | "files" | "processes">;

export interface DefaultsStoreOptions {
  /** `write` throws `INTERNAL`, and does nothing; what killed processes of ours left behind stays as well. */
  readonly readOnly: boolean;
}

/** The bundle identifier of the application (Homebrew's cask of it). */
const DOMAIN = "com.plexapp.plexmediaserver";
const TAKE_BACK_ATTEMPTS = 3;

class DefaultsStore implements SettingsStore {
  readonly kind = "defaults";
  /** The daemon's file: what a person knows, and where a copy of the domain lies. */
  readonly location: string;
  readonly lockName: string;
  readonly #domain: DefaultsDomain;
  readonly #readOnly: boolean;
  #sweeps: boolean;

  constructor(domain: DefaultsDomain, readOnly: boolean) {
    this.location = domain.path;
    const hash = createHash("sha256").update(`${domain.user.uid} ${domain.name}`).digest("hex");
    this.lockName = `settings-${hash.slice(0, 32)}`;
    this.#domain = domain;
    this.#readOnly = readOnly;
    this.#sweeps = !readOnly;
  }

  async readImage(): Promise<StoredImage | null> {
    const content = await this.#standing();
    if (content === null) return null;
    const original = await this.#original();
    return { image: this.#imageOf(content), metadata: null, ...(original !== null && { original }) };
  }

  parse(image: Image): Settings {
    return parsePlistSettings(image.bytes, this.location);
  }

  async preview(image: Image, change: CredentialChange): Promise<Image> {
    const edited = editPlist(image.bytes, change, this.location);
    return this.#imageOf(contentOf(edited, this.location));
  }

  /**
   * Proves what can be proven without a write: that the tool works as that account, and that nothing is closed to us. A
   * file that is closed although the daemon tells what is in it is refused here, before anything is spent, and nowhere else.
   */
  async proveWritable(): Promise<void> {
    await this.#standing();
    await this.#readable(() => daemonFile(this.#domain));
  }

  differences(one: Image, other: Image): number {
    return differingKeys(one.bytes, other.bytes);
  }

  partsOf(from: Image | null, to: Image): readonly WritePart[] {
    return partsBetween(this.#contentOf(from), this.#contentOf(to));
  }

  isHalfWritten(standing: Image, from: Image | null, parts: readonly WritePart[]): boolean {
    try {
      return isMixed(this.#contentOf(standing), this.#contentOf(from), parts);
    } catch (error) {
      if (error instanceof ProblemError) return false;
      throw error;
    }
  }

  withoutParts(standing: Image, from: Image | null, parts: readonly WritePart[]): Image {
    return this.#imageOf(withoutParts(this.#contentOf(standing), this.#contentOf(from), parts));
  }

  async write(expected: Image | null, image: Image): Promise<void> {
    if (this.#readOnly) throw new ProblemError({ code: "INTERNAL", detail: "read-only-store" });
    const [before, after] = [this.#contentOf(expected), this.#contentOf(image)];
    const operations = operationsBetween(before, after);
    const merges = askedOnce(() => importMerges(this.#domain));
    // Before the look at what stands there, so that nothing comes between that and the first change.
    if (operations.some(({ kind }) => kind === "import")) await merges();
    const standing = await this.#standing();
    if (!sameContent(standing ?? NO_CONTENT, before)) throw changedMeanwhile(this.location);
    try {
      await this.#perform(operations, merges);
      await this.#demand(after);
    } catch (error) {
      await this.#takeBack(before, after, merges);
      throw this.#asWriteFailed(error);
    }
  }

  /** The daemon writes its file when it likes: once that holds what the domain does, it has. */
  async isDurable(): Promise<boolean> {
    try {
      const standing = await this.#standing();
      const bytes = await daemonFile(this.#domain);
      const kept = bytes === null ? NO_CONTENT : contentOf(bytes, this.location);
      return sameContent(standing ?? NO_CONTENT, kept);
    } catch (error) {
      if (error instanceof ProblemError || error instanceof SystemError) return false;
      throw error;
    }
  }

  async letGo(): Promise<void> {
    // The daemon has the domain, and the server asks the daemon.
  }

  async close(): Promise<void> {
    // Nothing is held open.
  }

  /** Where an import merges, it gets no more than what is to be set: what the daemon keeps is not sent through it again. */
  async #perform(operations: readonly DefaultsOperation[], merges: () => Promise<boolean>): Promise<void> {
    for (const operation of operations) {
      if (operation.kind === "import")
        await importDomain(this.#domain, (await merges()) ? operation.changes : operation.content);
      else await deleteKey(this.#domain, operation.name, operation.mayBeGone);
    }
  }

  async #demand(content: DomainContent): Promise<void> {
    const standing = await this.#standing();
    if (!sameContent(standing ?? NO_CONTENT, content)) throw new ReadBackError();
  }

  /** Never throws: what led here is the error to report, and `isHalfWritten` knows what is left. */
  async #takeBack(
    before: DomainContent,
    after: DomainContent,
    merges: () => Promise<boolean>,
  ): Promise<void> {
    for (let attempt = 1; attempt <= TAKE_BACK_ATTEMPTS; attempt += 1) {
      try {
        const standing = (await this.#standing()) ?? NO_CONTENT;
        const operations = operationsBack(before, after, standing);
        if (operations.length === 0) return;
        await this.#perform(operations, merges);
      } catch {
        // Tried again, or reported as what the write itself ran into.
      }
    }
  }

  /** The domain by now; null: it is not there, or has no keys. */
  #standing(): Promise<DomainContent | null> {
    return this.#readable(async () => {
      const content = await exportDomain(this.#domain, this.#sweeps);
      this.#sweeps = false;
      if (content !== null && content.size > 0) return content;
      await this.#demandAbsent(content === null);
      return null;
    });
  }

  /**
   * A refused export, or an empty one, is what a domain looks like that is not there (UNVERIFIED which); so do settings
   * that are closed to us. A file with keys in it then means that the tool failed, or that somebody has put it there and
   * the daemon has not noticed: what is in it would be lost without a backup. One that is no property list means that
   * the daemon has nothing either.
   */
  async #demandAbsent(refused: boolean): Promise<void> {
    const bytes = await daemonFile(this.#domain);
    if (bytes !== null && holdsKeys(bytes, this.location)) {
      throw new SystemError(refused ? "EXIT_1" : "FILE_UNNOTICED", "defaults export", this.location);
    }
    if (refused && bytes === null && (await isListed(this.#domain))) {
      throw new SystemError("EXIT_1", "defaults export", this.location);
    }
  }

  async #original(): Promise<OriginalFile | null> {
    try {
      const bytes = await daemonFile(this.#domain);
      return bytes === null ? null : { name: posix.basename(this.location), bytes };
    } catch (error) {
      // The image is what a restore needs.
      if (error instanceof SystemError || error instanceof ProblemError) return null;
      throw error;
    }
  }

  async #readable<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (error instanceof SystemError && error.code === "EFBIG") throw malformed(this.location, "too-large");
      throw asNotReadable(error, this.location);
    }
  }

  #contentOf(image: Image | null): DomainContent {
    return image === null ? NO_CONTENT : contentOf(image.bytes, this.location);
  }

  #imageOf(content: DomainContent): Image {
    const bytes = bytesOf(content);
    if (bytes.length > TARGET_CAP_BYTES) throw malformed(this.location, "too-large");
    return imageOf(bytes);
  }

  #asWriteFailed(error: unknown): unknown {
    const reason = reasonOf(error);
    if (reason === null) return error;
    return new ProblemError({ code: "DOMAIN_WRITE_FAILED", path: this.location, reason }, { cause: error });
  }
}

function askedOnce(ask: () => Promise<boolean>): () => Promise<boolean> {
  let answer: Promise<boolean> | undefined;
  return () => {
    answer ??= ask();
    return answer;
  };
}

/** A machine word; null for a bug, which stays what it is. */
function reasonOf(error: unknown): string | null {
  if (error instanceof ReadBackError) return "READ_BACK";
  if (error instanceof SystemError) return error.code;
  if (!(error instanceof ProblemError)) return null;
  const { problem } = error;
  return problem.code === "SYSTEM_CALL_FAILED" ? problem.reason : problem.code;
}
