import { SystemError, type World } from "../world.ts";
import { refusal, WIN32 } from "./errors.ts";
import { lastError, systemLibrary, wide } from "./native.ts";

/**
 * A lock by name, held by a mutex that is there at all: its name is the machine's (`Global\`), whatever the session or
 * account, and the system frees it with its only handle when the process ends, however it ends. Nobody is asked and
 * nobody answers: who has made something of that name first can only keep us out.
 *
 * Source: learn.microsoft.com, "CreateMutexW", "Kernel object namespaces".
 *
 * @throws SystemError `ENAMETOOLONG`
 */
export const mutexLock: World["lock"] = async (name) => {
  // No backslash may stand in it; a difference of case would make two locks of one.
  const path = `Global\\plex-reclaim-${encodeURIComponent(name).toLowerCase()}`;
  if (path.length > LONGEST_NAME) throw new SystemError("ENAMETOOLONG", "CreateMutexW", name);
  const handle = createMutex(null, 0, wide(path));
  const number = lastError();
  if (handle === 0n) {
    if (SOMEBODYS.includes(number)) return null;
    throw refusal(number, "CreateMutexW", name);
  }
  if (number === WIN32.ALREADY_EXISTS) {
    closeHandle(handle);
    return null;
  }
  let held = true;
  return {
    release: async () => {
      // The number of a closed handle is soon another's.
      if (held) closeHandle(handle);
      held = false;
    },
  };
};

/** `MAX_PATH`, its NUL included. */
const LONGEST_NAME = 259;
/** Another account's that we may not open, and something of that name that is no mutex. */
const SOMEBODYS: readonly number[] = [WIN32.ACCESS_DENIED, WIN32.INVALID_HANDLE];

const kernel32 = systemLibrary("kernel32.dll");
const createMutex = kernel32("CreateMutexW", "handle", "memory", "int32", "memory");
const closeHandle = kernel32("CloseHandle", "int32", "handle");
