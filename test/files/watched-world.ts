import type { World } from "../../src/world/world.ts";

/** One call through the port, in order. */
export interface Effect {
  readonly index: number;
  /** Such as `folder.rename` or `file.write`. */
  readonly name: string;
  readonly args: readonly unknown[];
}

export interface Watch {
  /** What is thrown here comes out of the call, which is then not made. */
  before?(effect: Effect): void | Promise<void>;
  /** What is thrown here comes out of the call, although it was made. */
  after?(effect: Effect): void | Promise<void>;
}

/**
 * The same world, with every call of files, folders, open files and programs (and on Windows of the access to files)
 * seen before and after it is made.
 */
export function watchedWorld(world: World, watch: Watch): World {
  let index = 0;
  const seen = async <T>(name: string, args: readonly unknown[], call: () => Promise<T>): Promise<T> => {
    const effect = { index, name, args };
    index += 1;
    await watch.before?.(effect);
    const result = await call();
    await watch.after?.(effect);
    return result;
  };
  const wrapped = <T extends object>(target: T, kind: string): T =>
    new Proxy(target, {
      get(_, key) {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) =>
          seen(`${kind}.${String(key)}`, args, async () => opened(await value.apply(target, args)));
      },
    });
  const opened = (result: unknown): unknown => {
    if (typeof result !== "object" || result === null) return result;
    if ("createFile" in result) return wrapped(result, "folder");
    return "chown" in result ? wrapped(result, "file") : result;
  };
  const { windows } = world;
  return {
    ...world,
    ...(windows && { windows: { ...windows, folders: wrapped(windows.folders, "access") } }),
    files: wrapped(world.files, "files"),
    run: (file, args, options) => seen(`run.${file}`, args, () => world.run(file, args, options)),
  };
}
