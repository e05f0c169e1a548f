// Loaded before the program (`--import`): what Node itself would say and do differently on a Mac, and no more.
import { createRequire, syncBuiltinESMExports } from "node:module";
import { openAsOnMac } from "../../world/kernel-lock.ts";

/** `O_EXLOCK` of macOS, which Linux does not know and ignores. */
const O_EXLOCK = 0x20;

const require = createRequire(import.meta.url);
const os = require("node:os") as { platform: () => string };
const fs = require("node:fs") as { openSync: (...args: unknown[]) => number };

Object.defineProperty(process, "platform", { value: "darwin", enumerable: true });
os.platform = () => "darwin";
const { openSync } = fs;
fs.openSync = (path, flags, mode) => {
  if (typeof flags !== "number" || (flags & O_EXLOCK) === 0) return openSync(path, flags, mode);
  return openAsOnMac(String(path));
};
syncBuiltinESMExports();
