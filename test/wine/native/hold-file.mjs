// Holds a file open until it is killed, sharing what the second argument says (1 reading, 2 writing, 4 deleting).
import { systemLibrary, wide } from "../../../dist/world/windows/native.js";

const kernel32 = systemLibrary("kernel32.dll");
const open = kernel32(
  "CreateFileW",
  "handle",
  "memory",
  "uint32",
  "uint32",
  "memory",
  "uint32",
  "uint32",
  "handle",
);
const [path = "", share = "0"] = process.argv.slice(2);
const handle = open(wide(path), 0x8000_0000, Number(share), null, 3, 0, 0n);
console.log(handle === -1n ? "refused" : "held");
setInterval(() => undefined, 60_000);
