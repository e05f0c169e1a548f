import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync } from "node:fs";
import type { OpenLocked } from "../../src/world/darwin-lock.ts";

/**
 * Opens a file as macOS does with `O_EXLOCK`: the lock is `flock(2)`'s there as well, and belongs to what was opened.
 * Here util-linux's `flock` takes it on our descriptor, and leaves it there when it ends.
 */
export const openAsOnMac: OpenLocked = (path) => {
  const fd = openSync(path, OPEN, 0o444);
  const { status, error } = spawnSync("/usr/bin/flock", ["--exclusive", "--nonblock", "3"], {
    stdio: ["ignore", "ignore", "inherit", fd],
  });
  if (status === 0) return fd;
  closeSync(fd);
  if (status !== 1) throw new Error(`flock ended with ${status}`, { cause: error });
  throw Object.assign(new Error("EAGAIN"), { code: "EAGAIN" });
};

const OPEN = constants.O_RDONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
