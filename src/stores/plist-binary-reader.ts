import type { MalformedReason, ProblemError } from "../model/problem.ts";
import { type BinaryLayout, readBinaryLayout, unsignedAt } from "./plist-binary-layout.ts";
import { type LeafObject, readLeaf } from "./plist-binary-leaves.ts";
import type { PlistBytes } from "./plist-bytes.ts";
import { MAX_PLIST_DEPTH, MAX_PLIST_VALUES, type PlistEntry, type PlistValue } from "./plist-value.ts";
import { malformed } from "./refusals.ts";

/**
 * Reads a binary property list (`bplist00`), what its trailer calls the top object. Objects that nothing refers to are
 * not read, as Apple's reader does not (CFBinaryPList.c, swift-corelibs-foundation). No recursion.
 *
 * An object may be referred to from several places and is then one value in all of them; but the tree that this makes
 * may have no more than `MAX_PLIST_VALUES` values, `MAX_PLIST_CONTENT` bytes in strings and data, and
 * `MAX_PLIST_DEPTH` levels. Objects that lie over each other are refused as soon as more is read than the file has, so
 * that every file is read in time linear in its bytes.
 *
 * Throws `SETTINGS_MALFORMED`: `truncated` where the trailer does not describe these bytes, `too-large`,
 * `duplicate-value` for a key that comes twice in a dictionary, and `syntax` (a cycle, too).
 */
export function readBinaryPlist(bytes: PlistBytes, path: string): PlistValue {
  return new BinaryReader(bytes, readBinaryLayout(bytes, path), path).root();
}

/** So many bytes of strings and data a file may hold, a shared one counted wherever it is referred to (64 MiB). */
const MAX_PLIST_CONTENT = 64 * 1_048_576;

/** A value that was read, and how large it is where it is referred to. */
interface Finished {
  readonly value: PlistValue;
  readonly values: number;
  readonly content: number;
  /** Levels of containers. */
  readonly height: number;
}

/** A container that is being read. */
interface Open {
  readonly index: number;
  readonly kind: "array" | "dictionary";
  readonly count: number;
  readonly referencesAt: number;
  /** Keys of a dictionary come before its values. */
  readonly references: number;
  readonly children: PlistValue[];
  followed: number;
  values: number;
  content: number;
  height: number;
}

const ARRAY = 0xa0;
const DICTIONARY = 0xd0;

class BinaryReader {
  readonly #bytes: PlistBytes;
  readonly #layout: BinaryLayout;
  readonly #path: string;
  readonly #finished = new Map<number, Finished>();
  readonly #open: Open[] = [];
  readonly #openIndexes = new Set<number>();
  #spent = 0;

  constructor(bytes: PlistBytes, layout: BinaryLayout, path: string) {
    this.#bytes = bytes;
    this.#layout = layout;
    this.#path = path;
  }

  root(): PlistValue {
    let last = this.#begin(this.#layout.top);
    for (let frame = this.#open.at(-1); frame !== undefined; frame = this.#open.at(-1)) {
      if (frame.followed < frame.references) last = this.#begin(this.#nextReference(frame));
      else last = this.#finish(frame);
      const into = this.#open.at(-1);
      if (last !== undefined && into !== undefined) this.#take(into, last);
    }
    if (last === undefined) throw this.#refuse("syntax");
    return last.value;
  }

  /** The object, or undefined where it is a container that is now open. */
  #begin(index: number): Finished | undefined {
    const known = this.#finished.get(index);
    if (known !== undefined) return known;
    if (this.#openIndexes.has(index)) throw this.#refuse("syntax");
    const at = this.#layout.offsetOf(index);
    const marker = this.#bytes.at(at);
    const family = marker & 0xf0;
    if (family === ARRAY || family === DICTIONARY) {
      this.#beginContainer(index, at, family === ARRAY ? "array" : "dictionary");
      return undefined;
    }
    const leaf: LeafObject = readLeaf(this.#bytes, at, this.#layout, this.#path);
    this.#spend(leaf.content);
    const finished = { value: leaf.value, values: 1, content: leaf.content, height: 0 };
    this.#finished.set(index, finished);
    return finished;
  }

  #beginContainer(index: number, at: number, kind: Open["kind"]): void {
    if (this.#open.length === MAX_PLIST_DEPTH) throw this.#refuse("too-large");
    const { count, start } = this.#layout.countAt(at);
    const references = kind === "array" ? count : count * 2;
    if (references > (this.#layout.objectsEnd - start) / this.#layout.referenceSize)
      throw this.#refuse("syntax");
    this.#openIndexes.add(index);
    this.#open.push({
      index,
      kind,
      count,
      referencesAt: start,
      references,
      children: [],
      followed: 0,
      values: 1,
      content: 0,
      height: 1,
    });
  }

  #nextReference(frame: Open): number {
    const { referenceSize, objects } = this.#layout;
    this.#spend(referenceSize);
    const index = unsignedAt(this.#bytes, frame.referencesAt + frame.followed * referenceSize, referenceSize);
    if (index >= objects) throw this.#refuse("syntax");
    frame.followed += 1;
    return index;
  }

  #take(frame: Open, child: Finished): void {
    frame.children.push(child.value);
    frame.values += child.values;
    frame.content += child.content;
    frame.height = Math.max(frame.height, child.height + 1);
    const tooMuch = frame.values > MAX_PLIST_VALUES || frame.content > MAX_PLIST_CONTENT;
    // A container that is shared may stand deeper here than where it was read.
    const tooDeep = this.#open.length + child.height > MAX_PLIST_DEPTH;
    if (tooMuch || tooDeep) throw this.#refuse("too-large");
  }

  #finish(frame: Open): Finished {
    this.#open.pop();
    this.#openIndexes.delete(frame.index);
    const { values, content, height } = frame;
    const value: PlistValue =
      frame.kind === "array"
        ? { kind: "array", items: frame.children }
        : { kind: "dictionary", entries: this.#entries(frame) };
    const finished = { value, values, content, height };
    this.#finished.set(frame.index, finished);
    return finished;
  }

  #entries({ children, count }: Open): PlistEntry[] {
    const entries = new Map<string, PlistValue>();
    for (let index = 0; index < count; index += 1) {
      const key = children[index];
      const value = children[count + index];
      if (key?.kind !== "string" || value === undefined) throw this.#refuse("syntax");
      if (entries.has(key.value)) throw this.#refuse("duplicate-value");
      entries.set(key.value, value);
    }
    return [...entries];
  }

  /** Each object is read once, so more than the whole file is only read where objects lie over each other. */
  #spend(bytes: number): void {
    this.#spent += bytes;
    if (this.#spent > this.#bytes.length) throw this.#refuse("syntax");
  }

  #refuse(reason: MalformedReason): ProblemError {
    return malformed(this.#path, reason);
  }
}
