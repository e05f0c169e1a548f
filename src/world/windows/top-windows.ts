import { SystemError } from "../world.ts";
import { refusal, WIN32 } from "./errors.ts";
import { demand, type Handle, lastError, systemLibrary } from "./native.ts";

/**
 * Posts WM_CLOSE to every top-level window of a process, seen or not, on the desktop that we are on; the number of
 * windows that took it. A tray application has windows that nobody sees, so none is left out.
 *
 * @throws SystemError `EACCES` when the process has more rights than we (UIPI, "PostMessageW function")
 */
export function closeWindowsOf(pid: number): number {
  let asked = 0;
  for (const window of topWindowsOf(pid)) {
    if (postMessage(window, WM_CLOSE, 0n, 0n) !== 0) {
      asked += 1;
      continue;
    }
    // One window may be gone with another that was closed just before.
    const number = lastError();
    if (number !== WIN32.INVALID_WINDOW_HANDLE) throw refusal(number, "PostMessageW", String(pid));
  }
  return asked;
}

const WM_CLOSE = 0x0010;
const MOST_WINDOWS = 20_000;
const MOST_ATTEMPTS = 5;

const user32 = systemLibrary("user32.dll");
const getDesktopWindow = user32("GetDesktopWindow", "handle");
const findWindow = user32("FindWindowExW", "handle", "handle", "handle", "memory", "memory");
const windowThreadProcess = user32("GetWindowThreadProcessId", "uint32", "handle", "memory");
const postMessage = user32("PostMessageW", "int32", "handle", "uint32", "handle", "handle");

function topWindowsOf(pid: number): ReadonlySet<Handle> {
  const found = new Set<Handle>();
  for (let attempts = 0; attempts < MOST_ATTEMPTS; attempts += 1) {
    if (gathered(pid, found)) return found;
  }
  throw new SystemError("EBUSY", "FindWindowExW", String(pid));
}

/** From one window to the next below it; false when one vanished under our hands, and with it the place. */
function gathered(pid: number, found: Set<Handle>): boolean {
  // The desktop by name: with none given, windows that take messages only are found as well.
  const desktop = demand(getDesktopWindow(), "GetDesktopWindow", "");
  const owner = Buffer.alloc(4);
  let window = 0n;
  for (let windows = 0; windows < MOST_WINDOWS; windows += 1) {
    window = findWindow(desktop, window, null, null);
    if (window === 0n) return windows === 0 || lastError() !== WIN32.INVALID_WINDOW_HANDLE;
    owner.writeUInt32LE(0);
    if (windowThreadProcess(window, owner) !== 0 && owner.readUInt32LE() === pid) found.add(window);
  }
  return false;
}
