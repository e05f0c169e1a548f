import { type DomainContent, fingerprintsOf } from "./defaults-content.ts";
import type { WritePart } from "./store.ts";

/**
 * One call of the system's tool. `import`: whether it leaves keys that are not handed over, or takes them away, is
 * UNVERIFIED, so it has both: the complete `content`, and `changes`, those keys of it alone that are to be set, for
 * whoever knows that all others stay. A list of operations comes out the same either way. `mayBeGone`: the import
 * before it may have deleted that key already.
 */
export type DefaultsOperation =
  | { readonly kind: "delete"; readonly name: string; readonly mayBeGone: boolean }
  | { readonly kind: "import"; readonly content: DomainContent; readonly changes: DomainContent };

/**
 * What turns the content of a domain into another: a deletion of each key that must go, then one import where
 * something must be set, and the deletion of the token last of all. A process that dies in between leaves the server with
 * the token that stood there before, as the registry's operations do, and for the same reasons.
 */
export function operationsBetween(from: DomainContent, to: DomainContent): readonly DefaultsOperation[] {
  const { gone, changed, added } = differencesBetween(from, to);
  const imports = changed.length + added.length > 0;
  const deletion = (name: string, mayBeGone: boolean) => ({ kind: "delete", name, mayBeGone }) as const;
  return [
    ...gone.filter(isOther).map((name) => deletion(name, false)),
    ...(imports ? [importOf(to, [...changed, ...added])] : []),
    ...gone.filter(isToken).map((name) => deletion(name, imports)),
  ];
}

/**
 * What each operation is to make of its keys, for a journal: deletions; keys that get another value and keys that are
 * new, the token last in its kind; the deletion of the token.
 */
export function partsBetween(from: DomainContent, to: DomainContent): readonly WritePart[] {
  const { gone, changed, added } = differencesBetween(from, to);
  const wanted = fingerprintsOf(to);
  const names = [...gone.filter(isOther), ...changed, ...added, ...gone.filter(isToken)];
  return names.map((name) => ({ name, to: wanted.get(name) ?? null }));
}

/**
 * What takes a write back that began from `from`: only those of its keys that are as it wanted them, whatever was
 * reported of the operations; what somebody else has put there stays. A key that the write never was to touch and
 * that is gone comes back as well, and then each import has all keys: it stood there a moment ago, and an import that
 * did not leave the others, against all signs, is the likeliest to have taken it. A token that was deleted comes back first.
 */
export function operationsBack(
  from: DomainContent,
  to: DomainContent,
  standing: DomainContent,
): readonly DefaultsOperation[] {
  const now = fingerprintsOf(standing);
  const parts = partsBetween(from, to);
  const done = parts.filter(({ name, to: wanted }) => (now.get(name) ?? null) === wanted);
  const ours = new Set(parts.map(({ name }) => name));
  const lost = [...from.keys()].filter((name) => !ours.has(name) && !standing.has(name));
  const operations: DefaultsOperation[] = [];
  let content = standing;
  const restore = (wanted: DomainContent) => {
    const { changed, added } = differencesBetween(content, wanted);
    content = wanted;
    if (changed.length + added.length === 0) return;
    operations.push(importOf(wanted, lost.length > 0 ? [...wanted.keys()] : [...changed, ...added]));
  };
  restore(withoutParts(standing, from, done.filter(isDeletedToken)));
  for (const { name } of done.filter((part) => !from.has(part.name)).reverse()) {
    content = new Map([...content].filter(([key]) => key !== name));
    operations.push({ kind: "delete", name, mayBeGone: false });
  }
  restore(withoutParts(standing, from, [...done, ...lost.map((name) => ({ name }))]));
  return operations;
}

/**
 * Whether it is what a write of these parts left, or its taking back, when it died in the middle: each part is as it is
 * wanted or as in `from`, and some are the one and some the other. All else may be as it likes.
 *
 * Nothing promises that an import sets its keys at once, so any of them may be set. What must hold: a new key is there
 * only once all deletions but the token's are done, since the taking back deletes it before it imports anything again;
 * the token is gone only once that is so as well, and only where an import may have taken it.
 */
export function isMixed(standing: DomainContent, from: DomainContent, parts: readonly WritePart[]): boolean {
  const now = fingerprintsOf(standing);
  const before = fingerprintsOf(from);
  const done = parts.filter(({ name, to }) => (now.get(name) ?? null) === to);
  const undone = parts.filter((part) => !done.includes(part));
  if (done.length === 0 || undone.some(({ name }) => now.get(name) !== before.get(name))) return false;
  if (undone.length === 0) return false;
  const needsDeletions = done.some((part) => isDeletedToken(part) || !from.has(part.name));
  return !needsDeletions || !undone.some((part) => part.to === null && !isToken(part.name));
}

/** The standing content with each of the parts as it was in `from`. */
export function withoutParts(
  standing: DomainContent,
  from: DomainContent,
  parts: readonly Pick<WritePart, "name">[],
): DomainContent {
  const names = new Set(parts.map(({ name }) => name));
  return new Map([
    ...[...standing].filter(([name]) => !names.has(name)),
    ...[...from].filter(([name]) => names.has(name)),
  ]);
}

const TOKEN = "PlexOnlineToken";

function importOf(content: DomainContent, names: readonly string[]): DefaultsOperation {
  const changes = new Set(names);
  return { kind: "import", content, changes: new Map([...content].filter(([name]) => changes.has(name))) };
}

interface Differences {
  readonly gone: readonly string[];
  /** In both, with another value. */
  readonly changed: readonly string[];
  readonly added: readonly string[];
}

/** Each in the order of the names, the token last. */
function differencesBetween(from: DomainContent, to: DomainContent): Differences {
  const [before, after] = [fingerprintsOf(from), fingerprintsOf(to)];
  const names = [...new Set([...from.keys(), ...to.keys()])].sort();
  const ordered = [...names.filter(isOther), ...names.filter(isToken)];
  return {
    gone: ordered.filter((name) => !after.has(name)),
    changed: ordered.filter(
      (name) => before.has(name) && after.has(name) && before.get(name) !== after.get(name),
    ),
    added: ordered.filter((name) => !before.has(name)),
  };
}

function isToken(name: string): boolean {
  return name === TOKEN;
}

function isOther(name: string): boolean {
  return !isToken(name);
}

function isDeletedToken({ name, to }: WritePart): boolean {
  return isToken(name) && to === null;
}
