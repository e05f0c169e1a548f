import { win32 } from "node:path";
import { EXECUTABLE_NAME, isNamed, parentOf, type SeenProcess } from "../services/windows-processes.ts";
import type { WindowsService, WindowsSystem } from "../world/windows-system.ts";
import { SystemError } from "../world/world.ts";
import { machineKey, textAt } from "./windows-registry.ts";

/** Which services keep servers running. */
export interface Supervision {
  /** By the pid of the server's process: the service that started it, or that it is. */
  readonly running: ReadonlyMap<number, WindowsService>;
  /** Those that are set up to run a server, whether they do or not; those that run first. */
  readonly configured: readonly WindowsService[];
  /** The services as a whole, when this account may not list them. */
  readonly unseen: readonly string[];
}

/**
 * Finds the services that supervise servers. Of a running server that is the nearest process above it which a
 * service has; of one that does not run, a service whose command line, or whose `Parameters\Application` (NSSM,
 * srvany), names the executable, or PmsService by its name. The updater's service supervises nothing.
 */
export async function supervisionOf(
  windows: WindowsSystem,
  processes: readonly SeenProcess[],
): Promise<Supervision> {
  const all = await servicesOf(windows);
  if (all === null) return { running: new Map(), configured: [], unseen: [SERVICES_KEY] };
  const services = all.filter((service) => !sameName(service.name, UPDATER));
  const running = new Map<number, WindowsService>();
  for (const process of processes) {
    const service = await serviceAbove(windows, services, process);
    if (service !== null) running.set(process.pid, service);
  }
  const configured: WindowsService[] = [];
  for (const service of services) if (await isSetUp(windows, service)) configured.push(service);
  configured.sort(
    (one, other) => rankOf(one) - rankOf(other) || (fold(one.name) < fold(other.name) ? -1 : 1),
  );
  return { running, configured, unseen: [] };
}

/** The updater's service when it is at work: it may stop and start the server by itself. Null otherwise. */
export async function updaterService({ services }: WindowsSystem): Promise<string | null> {
  try {
    const service = await services.query(UPDATER);
    return service === null || service.state === "stopped" ? null : service.name;
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

/** The folder that the updater's service is installed in, beside the server; null when there is no such service. */
export async function updaterFolder({ services }: WindowsSystem): Promise<string | null> {
  try {
    const service = await services.query(UPDATER);
    const executable = service === null ? null : executableIn(service.command);
    return executable === null ? null : win32.dirname(executable);
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

/** Of Plex itself. Source: PmsService and public install logs. */
const UPDATER = "PlexUpdateService";

/** Source: cjmurph's PmsService. */
const PMS_SERVICE = "PlexService";

const SERVICES_KEY = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services";

/** Null when this account may not list them. */
async function servicesOf({ services }: WindowsSystem): Promise<readonly WindowsService[] | null> {
  try {
    return await services.list();
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

/**
 * Up the processes that started one another. What stands in `STARTERS` started it on somebody's behalf: what is
 * above them does not look after the server.
 */
async function serviceAbove(
  windows: WindowsSystem,
  services: readonly WindowsService[],
  process: SeenProcess,
): Promise<WindowsService | null> {
  const list = await windows.processes.list();
  const passed = new Set<number>();
  let at: Parameters<typeof parentOf>[2] | null = process;
  while (at !== null && !passed.has(at.pid) && !isNamed(at, STARTERS)) {
    passed.add(at.pid);
    const { pid } = at;
    const service = services.find((each) => each.pid === pid && pid !== 0);
    if (service !== undefined) return service;
    at = await parentOf(windows, list, at);
  }
  return null;
}

/** The desktop; Windows' own host, of the task scheduler among others; and ways in from elsewhere. */
const STARTERS = [
  "explorer.exe",
  "userinit.exe",
  "svchost.exe",
  "wmiprvse.exe",
  "wsmprovhost.exe",
  "sshd.exe",
];

async function isSetUp(windows: WindowsSystem, service: WindowsService): Promise<boolean> {
  if (sameName(service.name, PMS_SERVICE) || namesServer(service.command)) return true;
  const key = machineKey(`SYSTEM\\CurrentControlSet\\Services\\${service.name}\\Parameters`);
  return namesServer((await textAt(windows, key, "Application")) ?? "");
}

/** Whether a command line has the server's executable as one of its words, quoted or not. */
function namesServer(command: string): boolean {
  return SERVER_WORD.test(command);
}

const SERVER_WORD = new RegExp(
  String.raw`(?:^|[\\/"])${EXECUTABLE_NAME.replace(".", String.raw`\.`)}(?:["\s]|$)`,
  "iu",
);

/** The program of a service's command line: what is quoted, else up to the first `.exe`. */
function executableIn(command: string): string | null {
  const [, quoted, plain] = /^\s*(?:"([^"]+)"|(.+?\.exe)(?:\s|$))/iu.exec(command) ?? [];
  return quoted ?? plain ?? null;
}

function rankOf({ state }: WindowsService): number {
  return state === "stopped" ? 1 : 0;
}

function sameName(one: string, other: string): boolean {
  return fold(one) === fold(other);
}

function fold(name: string): string {
  return name.toLowerCase();
}
