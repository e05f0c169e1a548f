// Makes a symbolic link in the registry, as a user can in the own hive: node link.mjs SID\path target-below-HKEY_USERS
// Run by the test of the native port in a Windows Node. (Links live until the hive is unloaded: REG_OPTION_VOLATILE.)
import { systemLibrary } from "../../../dist/world/windows/native.js";

const [path, target] = process.argv.slice(2);
const advapi32 = systemLibrary("advapi32.dll");
const create = advapi32(
  "RegCreateKeyExW",
  "int32",
  "handle",
  "memory",
  "uint32",
  "memory",
  "uint32",
  "uint32",
  "memory",
  "memory",
  "memory",
);
const set = advapi32("RegSetValueExW", "int32", "handle", "memory", "uint32", "uint32", "memory", "uint32");

const HKEY_USERS = BigInt(0x80000003 | 0);
const REG_OPTION_VOLATILE = 1;
const REG_OPTION_CREATE_LINK = 2;
const KEY_WRITE_AND_CREATE_LINK = 0x20026;
const REG_LINK = 6;

const out = Buffer.alloc(8);
const options = REG_OPTION_VOLATILE | REG_OPTION_CREATE_LINK;
const name = Buffer.from(`${path}\0`, "utf16le");
demand(create(HKEY_USERS, name, 0, null, options, KEY_WRITE_AND_CREATE_LINK, null, out, null));
const value = Buffer.from(`\\Registry\\User\\${target}`, "utf16le");
const key = Buffer.from("SymbolicLinkValue\0", "utf16le");
demand(set(out.readBigInt64LE(), key, 0, REG_LINK, value, value.length));

function demand(number) {
  if (number !== 0) throw new Error(String(number));
}
