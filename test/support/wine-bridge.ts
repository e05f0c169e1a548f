import { Agent, request } from "node:http";
import type {
  FolderAccess,
  Registry,
  WindowsAccounts,
  WindowsMachine,
  WindowsProcesses,
  WindowsSelf,
  WindowsServices,
  WindowsSystem,
} from "../../src/world/windows-system.ts";
import { SystemError } from "../../src/world/world.ts";

/** The port of a machine, called from here: each call is made by a Windows Node in it. */
export type WindowsBridge = WindowsSystem & {
  /** Ends the Node behind it. Calls that are under way, and any later one, fail. */
  close(): Promise<void>;
};

/** What a bridge stands on. */
export interface BridgeEnd {
  /** Where test/wine/bridge.mjs listens. */
  readonly url: string;
  /** What it has said, for the message of a call that got no answer. */
  said(): string;
  end(): Promise<void>;
}

/**
 * A `WindowsSystem` whose every method is a request to the other end. A `SystemError` there is a `SystemError` here;
 * anything else is an Error with the stack of there as its cause.
 */
export async function connectBridge(end: BridgeEnd): Promise<WindowsBridge> {
  const agent = new Agent({ keepAlive: true });
  let closed = false;
  const call: Call = async (group, name, args) => {
    const what = `${group} ${name}`.trim();
    if (closed) throw new Error(`${what}: this bridge is closed`);
    try {
      return await ask(agent, end.url, { group, name, args });
    } catch (error) {
      if (error instanceof NoAnswer)
        throw new Error(`${what}: ${noAnswer(closed, end)}`, { cause: error.cause });
      throw error;
    }
  };
  const processes = groupOf<WindowsProcesses>(call, "processes", PROCESSES);
  return {
    self: (await call("", "self", [])) as WindowsSelf,
    machine: (await call("", "machine", [])) as WindowsMachine,
    registry: groupOf<Registry>(call, "registry", REGISTRY),
    accounts: groupOf<WindowsAccounts>(call, "accounts", ACCOUNTS),
    processes: { ...processes, ownPid: (await call("processes", "ownPid", [])) as number },
    services: groupOf<WindowsServices>(call, "services", SERVICES),
    folders: groupOf<FolderAccess>(call, "folders", FOLDERS),
    close: async () => {
      closed = true;
      await end.end();
      agent.destroy();
    },
  };
}

type Call = (group: string, name: string, args: readonly unknown[]) => Promise<unknown>;

type MethodsOf<T> = {
  readonly [K in keyof T as T[K] extends (...args: never[]) => unknown ? K : never]: true;
};

// A method that the port gains is missing here, and the compiler says so.
const REGISTRY: MethodsOf<Registry> = {
  values: true,
  subkeys: true,
  mayWrite: true,
  createKey: true,
  setValue: true,
  deleteValue: true,
  flush: true,
  loadHive: true,
  unloadHive: true,
};
const ACCOUNTS: MethodsOf<WindowsAccounts> = { nameOf: true, sidOf: true };
const PROCESSES: MethodsOf<WindowsProcesses> = {
  list: true,
  details: true,
  closeWindows: true,
  start: true,
  startLike: true,
};
const SERVICES: MethodsOf<WindowsServices> = {
  list: true,
  query: true,
  mayControl: true,
  stop: true,
  start: true,
};
const FOLDERS: MethodsOf<FolderAccess> = {
  makePrivate: true,
  accessOf: true,
  copyAccess: true,
  demandReplaceable: true,
  rename: true,
};

function groupOf<T>(call: Call, group: string, methods: MethodsOf<T>): T {
  const names = Object.keys(methods);
  const entries = names.map((name) => [name, (...args: unknown[]) => call(group, name, args)]);
  // The compiler has compared the names with the interface; the other end has its methods behind them.
  return Object.fromEntries(entries) as T;
}

class NoAnswer extends Error {}

function noAnswer(closed: boolean, end: BridgeEnd): string {
  return closed ? "the bridge was closed meanwhile" : `no answer from the machine; it said: ${end.said()}`;
}

/** Longer than any method of the port may take. */
const CALL_MS = 60_000;

async function ask(agent: Agent, url: string, call: unknown): Promise<unknown> {
  const body = pack(call);
  const text = await new Promise<string>((resolve, reject) => {
    const lost = (cause: unknown) => reject(new NoAnswer("no answer", { cause }));
    const signal = AbortSignal.timeout(CALL_MS);
    const sent = request(url, { method: "POST", agent, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", lost);
      response.once("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
    });
    sent.once("error", lost);
    sent.end(body);
  });
  const { error, value } = unpack(text) as Answer;
  if (error === undefined) return value;
  if (error.name === "SystemError")
    throw new SystemError(error.code ?? "", error.call ?? "", error.path ?? "");
  throw new Error(`${error.name ?? "thrown"} in the machine: ${error.message}`, { cause: error.stack });
}

interface Answer {
  readonly value?: unknown;
  readonly error?: {
    readonly name?: string;
    readonly message?: string;
    readonly stack?: string;
    readonly code?: string;
    readonly call?: string;
    readonly path?: string;
  };
}

/** JSON in which bytes are `{"$bytes": base64}`. */
function pack(value: unknown): string {
  return JSON.stringify(value, function replace(this: Record<string, unknown>, key: string, kept: unknown) {
    const raw = this[key];
    if (raw instanceof Uint8Array) return { $bytes: Buffer.from(raw).toString("base64") };
    if (typeof raw === "number" && !Number.isFinite(raw)) throw new Error(`${key} is ${raw}`);
    return kept;
  });
}

function unpack(text: string): unknown {
  return JSON.parse(text, (_, value: { $bytes?: unknown } | null) =>
    typeof value?.$bytes === "string" ? new Uint8Array(Buffer.from(value.$bytes, "base64")) : value,
  );
}
