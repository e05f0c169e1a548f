import { win32 } from "node:path";
import type { WindowsMachine } from "../windows-system.ts";
import { systemFolder, systemLibrary, wide, wideText } from "./native.ts";
import { rootOf } from "./registry-key.ts";

/** Where the system keeps its own folders, asked of the kernel and of what administrators alone may change. */
export function nativeMachine(): WindowsMachine {
  const folder = systemFolder();
  return { systemFolder: folder, programData: programData(win32.dirname(folder)) };
}

/** Source: `FOLDERID_ProgramData` (learn.microsoft.com, "KNOWNFOLDERID"), as Windows keeps it for all accounts. */
const PROFILES = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList";
/** Any text (`RRF_RT_REG_SZ`, `RRF_RT_REG_EXPAND_SZ`), as it stands there: the system would expand it by our environment. */
const PLAIN_TEXT = 0x2 | 0x4 | 0x10000000;
const LONGEST_PATH = 32_768;

const getValue = systemLibrary("advapi32.dll")(
  "RegGetValueW",
  "int32",
  "handle",
  "memory",
  "memory",
  "uint32",
  "memory",
  "memory",
  "memory",
);

function programData(systemRoot: string): string {
  const drive = win32.parse(systemRoot).root;
  const [bytes, size] = [Buffer.alloc(2 * LONGEST_PATH), Buffer.alloc(4)];
  size.writeUInt32LE(bytes.length);
  const root = rootOf("HKEY_LOCAL_MACHINE");
  const number = getValue(root, wide(PROFILES), wide("ProgramData"), PLAIN_TEXT, null, bytes, size);
  const text = number === 0 ? wideText(bytes) : "";
  const path = text
    .replace(/%SystemDrive%\\?/giu, () => drive)
    .replace(/%(?:SystemRoot|windir)%/giu, () => systemRoot);
  return /^[A-Za-z]:\\/u.test(path) ? win32.normalize(path) : win32.join(drive, "ProgramData");
}
