import type { WindowsService, WindowsServices } from "../windows-system.ts";
import { SystemError } from "../world.ts";
import { refusal, WIN32 } from "./errors.ts";
import { demand, type Handle, lastError, lastRefusal, systemLibrary, wide, wideTextAt } from "./native.ts";

/** The service manager of this machine, by its own calls. */
export const nativeServices: WindowsServices = {
  list: async () => withManager(CONNECT | ENUMERATE, (manager) => listed(manager)),
  query: async (name) => withManager(CONNECT, (manager) => queried(manager, name)),
  mayControl: async (name) => withManager(CONNECT, (manager) => mayControl(manager, name)),
  stop: async (name) =>
    withManager(CONNECT, (manager) =>
      withService(manager, name, STOP | QUERY_STATUS, (service) => stop(service, name)),
    ),
  start: async (name) =>
    withManager(CONNECT, (manager) =>
      withService(manager, name, START | QUERY_STATUS, (service) => start(service, name)),
    ),
};

// Rights to the manager and to a service, kinds and controls (`winsvc.h`).
const CONNECT = 0x1;
const ENUMERATE = 0x4;
const QUERY_CONFIG = 0x1;
const QUERY_STATUS = 0x4;
const START = 0x10;
const STOP = 0x20;
const OWN_PROCESS = 0x10;
const ACTIVE_OR_NOT = 3;
const CONTROL_STOP = 1;

/** `SERVICE_STATUS_PROCESS`. */
const STATUS_SIZE = 36;
/** `ENUM_SERVICE_STATUS_PROCESSW`: two addresses, the status, filled up to 8. */
const ENTRY_SIZE = 56;
/** What the call takes at most. */
const LIST_ROOM = 256 * 1024;
/** What a configuration needs at most. */
const CONFIG_ROOM = 8 * 1024;
const MOST_LISTS = 1_000;

type State = WindowsService["state"];
/** A service on its way from or to a pause counts as where it goes to. */
const STATES: ReadonlyMap<number, State> = new Map([
  [1, "stopped"],
  [2, "start-pending"],
  [3, "stop-pending"],
  [4, "running"],
  [5, "start-pending"],
  [6, "paused"],
  [7, "paused"],
]);

const advapi32 = systemLibrary("advapi32.dll");
const openManager = advapi32("OpenSCManagerW", "handle", "memory", "memory", "uint32");
const openService = advapi32("OpenServiceW", "handle", "handle", "memory", "uint32");
const closeServiceHandle = advapi32("CloseServiceHandle", "int32", "handle");
const enumServices = advapi32(
  "EnumServicesStatusExW",
  "int32",
  "handle",
  "uint32",
  "uint32",
  "uint32",
  "memory",
  "uint32",
  "memory",
  "memory",
  "memory",
  "memory",
);
const queryConfig = advapi32("QueryServiceConfigW", "int32", "handle", "memory", "uint32", "memory");
const queryStatus = advapi32(
  "QueryServiceStatusEx",
  "int32",
  "handle",
  "uint32",
  "memory",
  "uint32",
  "memory",
);
const controlService = advapi32("ControlService", "int32", "handle", "uint32", "memory");
const startService = advapi32("StartServiceW", "int32", "handle", "uint32", "memory");

function withManager<T>(access: number, body: (manager: Handle) => T): T {
  return closing(demand(openManager(null, null, access), "OpenSCManagerW", ""), body);
}

function withService<T>(manager: Handle, name: string, access: number, body: (service: Handle) => T): T {
  return closing(demand(openService(manager, wide(name), access), "OpenServiceW", name), body);
}

function closing<T>(handle: Handle, body: (handle: Handle) => T): T {
  try {
    return body(handle);
  } finally {
    closeServiceHandle(handle);
  }
}

function listed(manager: Handle): WindowsService[] {
  const services: WindowsService[] = [];
  for (const name of namesIn(manager)) {
    try {
      const service = queried(manager, name);
      if (service !== null) services.push(service);
    } catch (error) {
      if (!(error instanceof SystemError && error.code === "EACCES")) throw error;
    }
  }
  return services;
}

function namesIn(manager: Handle): string[] {
  const names: string[] = [];
  const list = Buffer.alloc(LIST_ROOM);
  const [needed, count, resume] = [Buffer.alloc(4), Buffer.alloc(4), Buffer.alloc(4)];
  for (let lists = 0; lists < MOST_LISTS; lists += 1) {
    const done = enumServices(
      manager,
      0,
      OWN_PROCESS,
      ACTIVE_OR_NOT,
      list,
      list.length,
      needed,
      count,
      resume,
      null,
    );
    const number = done === 0 ? lastError() : 0;
    if (number !== 0 && number !== WIN32.MORE_DATA) throw refusal(number, "EnumServicesStatusExW", "");
    for (let index = 0; index < count.readUInt32LE(); index += 1) {
      names.push(wideTextAt(list.readBigInt64LE(index * ENTRY_SIZE)));
    }
    if (number === 0) return names;
  }
  throw new SystemError("EBUSY", "EnumServicesStatusExW", "");
}

function queried(manager: Handle, name: string): WindowsService | null {
  const service = openService(manager, wide(name), QUERY_CONFIG | QUERY_STATUS);
  if (service === 0n) {
    const number = lastError();
    if (number === WIN32.SERVICE_DOES_NOT_EXIST || number === WIN32.INVALID_NAME) return null;
    throw refusal(number, "OpenServiceW", name);
  }
  return closing(service, () => ({ name, ...statusOf(service, name), ...configOf(service, name) }));
}

function statusOf(service: Handle, name: string): Pick<WindowsService, "state" | "pid"> {
  const status = Buffer.alloc(STATUS_SIZE);
  demand(queryStatus(service, 0, status, status.length, Buffer.alloc(4)), "QueryServiceStatusEx", name);
  const state = STATES.get(status.readUInt32LE(4));
  if (state === undefined) throw new SystemError("EINVAL", "QueryServiceStatusEx", name);
  return { state, pid: status.readUInt32LE(28) };
}

/** `QUERY_SERVICE_CONFIGW`: the addresses of the command line and of the account's name stand at 16 and 48. */
function configOf(service: Handle, name: string): Pick<WindowsService, "command" | "account"> {
  const config = Buffer.alloc(CONFIG_ROOM);
  demand(queryConfig(service, config, config.length, Buffer.alloc(4)), "QueryServiceConfigW", name);
  const account = wideTextAt(config.readBigInt64LE(48));
  return {
    command: wideTextAt(config.readBigInt64LE(16)),
    account: account === "" ? "LocalSystem" : account,
  };
}

function mayControl(manager: Handle, name: string): boolean {
  try {
    return withService(manager, name, STOP | START | QUERY_STATUS, () => true);
  } catch (error) {
    if (error instanceof SystemError && error.code === "EACCES") return false;
    throw error;
  }
}

function stop(service: Handle, name: string): void {
  if (controlService(service, CONTROL_STOP, Buffer.alloc(STATUS_SIZE)) !== 0) return;
  const number = lastError();
  if (number === WIN32.SERVICE_NOT_ACTIVE) return;
  // One that is stopping already takes no second request.
  if (number === WIN32.SERVICE_CANNOT_ACCEPT_CTRL && STOPPING.has(statusOf(service, name).state)) return;
  throw refusal(number, "ControlService", name);
}

const STOPPING: ReadonlySet<State> = new Set(["stopped", "stop-pending"]);

function start(service: Handle, name: string): void {
  if (startService(service, 0, null) !== 0) return;
  const failure = lastRefusal("StartServiceW", name);
  // "Already running" is also the answer for one that is stopping, and that will not run.
  const runs = failure.code === `WIN32_${WIN32.SERVICE_ALREADY_RUNNING}`;
  if (!runs || STOPPING.has(statusOf(service, name).state)) throw failure;
}
