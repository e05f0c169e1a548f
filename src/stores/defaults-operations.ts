import { type DomainContent, fingerprintsOf, sameContent } from "./defaults-content.ts";
import type { WritePart } from "./store.ts";

/**
 * One call of the system's tool. `import` hands over a complete content: whether it leaves keys that are not in it, or
 * takes them away, is UNVERIFIED, so a list of operations comes out the same either way. `mayBeGone`: the import before
 * it may have deleted that key already.
 */
export type DefaultsOperation =
  | { readonly kind: "delete"; readonly name: string; readonly mayBeGone: boolean }
  | { readonly kind: "import"; readonly content: DomainContent };

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
    ...(imports ? [{ kind: "import", content: to } as const] : []),
    ...gone.filter(isToken).map((name) => deletion(name, imports)),
  ];
}

/**
 * What each operation is to make of its keys, for a journal, in such an order that a write that died leaves the first
 * ones done and the others not, and so does a taking back that died: deletions; keys that get another value and keys
 * that are new, the token last in its kind; the deletion of the token.
 */
export function partsBetween(from: DomainContent, to: DomainContent): readonly WritePart[] {
  const { gone, changed, added } = differencesBetween(from, to);
  const wanted = fingerprintsOf(to);
  const names = [...gone.filter(isOther), ...changed, ...added, ...gone.filter(isToken)];
  return names.map((name) => ({ name, to: wanted.get(name) ?? null }));
}

/**
 * What takes a write back that began from `from`: only those of its keys that are as it wanted them, whatever was
 * reported of the operations; what somebody else has put there stays. A token that was deleted comes back first.
 */
export function operationsBack(
  from: DomainContent,
  to: DomainContent,
  standing: DomainContent,
): readonly DefaultsOperation[] {
  const now = fingerprintsOf(standing);
  const done = partsBetween(from, to).filter(({ name, to: wanted }) => (now.get(name) ?? null) === wanted);
  const operations: DefaultsOperation[] = [];
  let content = standing;
  const restore = (wanted: DomainContent) => {
    if (sameContent(content, wanted)) return;
    content = wanted;
    operations.push({ kind: "import", content });
  };
  restore(withoutParts(standing, from, done.filter(isDeletedToken)));
  for (const { name } of done.filter((part) => !from.has(part.name)).reverse()) {
    content = new Map([...content].filter(([key]) => key !== name));
    operations.push({ kind: "delete", name, mayBeGone: false });
  }
  restore(withoutParts(standing, from, done));
  return operations;
}

/** Whether the first of the parts are as they are wanted and the others as in `from`; all else may be as it likes. */
export function isMixed(standing: DomainContent, from: DomainContent, parts: readonly WritePart[]): boolean {
  const now = fingerprintsOf(standing);
  const before = fingerprintsOf(from);
  const undone = parts.findIndex(({ name, to }) => (now.get(name) ?? null) !== to);
  return undone > 0 && parts.slice(undone).every(({ name }) => now.get(name) === before.get(name));
}

/** The standing content with each of the parts as it was in `from`. */
export function withoutParts(
  standing: DomainContent,
  from: DomainContent,
  parts: readonly WritePart[],
): DomainContent {
  const names = new Set(parts.map(({ name }) => name));
  return new Map([
    ...[...standing].filter(([name]) => !names.has(name)),
    ...[...from].filter(([name]) => names.has(name)),
  ]);
}

const TOKEN = "PlexOnlineToken";

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
