import type { StoreKind } from "../model/server.ts";
import type { CredentialChange, Settings } from "../model/settings.ts";

/**
 * How settings are kept. One file a mechanism beside this one; the stages know only this.
 *
 * A store never looks at processes or services, and never makes a backup: it reads, compares, and writes once.
 */
export interface SettingsStore {
  readonly kind: StoreKind;
  /** Where the settings really are (a link is followed once), for people and for the journal. */
  readonly location: string;
  /** When the settings were reached through a symbolic link: the link. */
  readonly followedFrom?: string;
  /** A name for this one set of settings on this machine, the same whatever path led to it. */
  readonly lockName: string;
  /**
   * The settings as they are kept, or null when there are none (the folder is there, the file is not).
   * Throws `ProblemError`: `SETTINGS_UNSAFE`, `SETTINGS_MALFORMED` (`too-large`), `NEEDS_PRIVILEGE`.
   */
  readImage(): Promise<StoredImage | null>;
  /** Pure. Throws `IDENTITY_LOST` or `SETTINGS_MALFORMED`. */
  parse(image: Image): Settings;
  /**
   * What the image would be after the change: every byte outside the four values the same, and an independent
   * reader agrees that only those changed. Touches nothing.
   */
  preview(image: Image, change: CredentialChange): Promise<Image>;
  /**
   * Proves that a write of this many bytes could be done here (space, read-only, immutable), leaving nothing
   * behind and the settings untouched. Throws `SETTINGS_NOT_WRITABLE`, `NEEDS_PRIVILEGE`.
   */
  proveWritable(sizeBytes: number): Promise<void>;
  /** How many settings outside the four differ between two images; 0 where either cannot be read. Pure. */
  differences(one: Image, other: Image): number;
  /**
   * Where a write is several operations of the system: what each is to make of its value, for the journal, so that
   * half a write is known as such after a crash. Null where a write is all or nothing. Pure.
   */
  partsOf(from: Image | null, to: Image): readonly WritePart[] | null;
  /**
   * Whether `standing` is what a write of these parts, that began from `from` (null: from nothing), left when it died in
   * the middle: the first of the parts as they were to be, the others as they were. What is no part may have changed
   * since: a server rewrites its settings when it exits. Pure.
   */
  isHalfWritten(standing: Image, from: Image | null, parts: readonly WritePart[]): boolean;
  /** What stands there, with each of the parts as it was in `from`, and nothing else touched. Pure. */
  withoutParts(standing: Image, from: Image | null, parts: readonly WritePart[]): Image;
  /**
   * One write: compares what stands there with `expected` (null: nothing may stand there) and throws
   * `SETTINGS_CHANGED_MEANWHILE` if it differs; swaps, makes it durable, reads it back. After a throw the
   * settings are exactly as before or exactly `image`. Owner, group and mode are kept, or set to `metadata`
   * where that is given; ACLs, extended attributes and labels are kept (`METADATA_NOT_KEPT` before the swap
   * when they cannot be). Where a write is several operations and one of them fails, those done are taken back; when
   * that fails too (`WRITE_FAILED` all the same) or the process dies, `isHalfWritten` knows what stands there.
   */
  write(expected: Image | null, image: Image, metadata?: FileMetadata | null): Promise<void>;
  /**
   * Whether what stands there now would be found again after a power cut, as far as that can be seen. Never throws
   * what the system refuses: what cannot be looked at is not durable.
   */
  isDurable(): Promise<boolean>;
  /**
   * Before the server starts: that nothing of ours is in its way. Throws `HIVE_UNAVAILABLE`: then it must not be started.
   */
  letGo(): Promise<void>;
  close(): Promise<void>;
}

/** The settings in the form in which the platform keeps them. Holds a secret. */
export interface Image {
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, hex. */
  readonly sha256: string;
}

/** One value of a write that is several operations. */
export interface WritePart {
  readonly name: string;
  /** SHA-256 of what it is to be, hex; null: it is to be gone. */
  readonly to: string | null;
}

export interface StoredImage {
  readonly image: Image;
  /** Null where settings are no file. */
  readonly metadata: FileMetadata | null;
  /** Where settings are no file of ours, but lie in one all the same: that file, for people. A restore uses the image. */
  readonly original?: OriginalFile;
}

/** A file as it lies there. Holds a secret. */
export interface OriginalFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** What a backup keeps of a file besides its bytes. */
export interface FileMetadata {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}
