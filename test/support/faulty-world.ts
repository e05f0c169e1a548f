import { HttpFailure, SystemError, type World } from "../../src/world/world.ts";

/** What an effect of a run was: `folder.rename`, `http.remote`, … */
export interface Effect {
  readonly index: number;
  readonly name: string;
  /** What it was asked of, unwatched, and with what. */
  readonly of: object;
  readonly args: readonly unknown[];
}

/**
 * The same world, in which every effect (each call through the port, reads too) is counted and can be met by a
 * fault: `before` it is carried out, or after that, when its answer is lost. What the calls hand out (folders, files,
 * locks) is watched too.
 */
export function watchedWorld(
  world: World,
  before: (effect: Effect) => void,
  after: (effect: Effect) => void = () => undefined,
): World {
  let index = 0;
  const meet: Meet = (what) => {
    index += 1;
    const effect = { index, ...what };
    before(effect);
    return () => after(effect);
  };
  const { windows } = world;
  return {
    ...world,
    ...(windows === undefined
      ? {}
      : {
          windows: {
            self: windows.self,
            machine: windows.machine,
            registry: watched(windows.registry, "registry", meet),
            accounts: watched(windows.accounts, "accounts", meet),
            processes: watched(windows.processes, "windowsProcesses", meet),
            services: watched(windows.services, "services", meet),
            folders: watched(windows.folders, "folders", meet),
          },
        }),
    files: watched(world.files, "files", meet),
    processes: { ...watched(world.processes, "processes", meet), ownPid: world.processes.ownPid },
    http: watched(world.http, "http", meet),
    clock: { ...world.clock, sleep: watched(world.clock, "clock", meet).sleep },
    run: watchedCall(world, world.run, "run", meet),
    lock: watchedCall(world, world.lock, "lock", meet),
  };
}

/** The fault that an effect of this name can really meet. */
export function faultFor(name: string): Error {
  if (name.startsWith("http.")) return new HttpFailure("maybe", "ECONNRESET");
  return new SystemError("EIO", name, "/injected");
}

/** Answers what is to be called when the effect has been carried out. */
type Meet = (what: Omit<Effect, "index">) => () => void;

function watched<T extends object>(target: T, prefix: string, meet: Meet): T {
  return new Proxy(target, {
    get(object, key) {
      const value: unknown = Reflect.get(object, key, object);
      if (typeof value !== "function" || typeof key !== "string") return value;
      return watchedCall(object, value as (...args: never[]) => unknown, `${prefix}.${key}`, meet);
    },
  });
}

function watchedCall<F extends (...args: never[]) => unknown>(
  target: object,
  call: F,
  name: string,
  meet: Meet,
): F {
  const wrapped = async (...args: never[]) => {
    const done = meet({ name, of: target, args });
    const result: unknown = await Reflect.apply(call, target, args);
    done();
    return handle(result) ? watched(result, kindOf(name), meet) : result;
  };
  return wrapped as unknown as F;
}

/** Folders, files and locks have methods of their own; plain data has none. */
function handle(value: unknown): value is object {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return false;
  return "close" in value || "release" in value;
}

function kindOf(name: string): string {
  if (name.endsWith("openFolder")) return "folder";
  return name === "lock" ? "held" : "file";
}
