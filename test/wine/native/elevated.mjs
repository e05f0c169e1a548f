// Starts a program with an administrator's full rights and writes its pid: node elevated.mjs EXECUTABLE
// Run by the test of the native port in a Windows Node. Wine gives every process the lesser half of a split token.
import { systemLibrary, wide } from "../../../dist/world/windows/native.js";

const advapi32 = systemLibrary("advapi32.dll");
const open = advapi32("OpenProcessToken", "int32", "handle", "uint32", "memory");
const about = advapi32("GetTokenInformation", "int32", "handle", "uint32", "memory", "uint32", "memory");
const start = advapi32(
  "CreateProcessAsUserW",
  "int32",
  "handle",
  "memory",
  "memory",
  "memory",
  "memory",
  "int32",
  "uint32",
  "memory",
  "memory",
  "memory",
  "memory",
);

const OWN_PROCESS = -1n;
const TOKEN_QUERY = 8;
const TOKEN_LINKED_TOKEN = 19;

const token = Buffer.alloc(8);
demand(open(OWN_PROCESS, TOKEN_QUERY, token), "OpenProcessToken");
const linked = Buffer.alloc(8);
demand(about(token.readBigInt64LE(), TOKEN_LINKED_TOKEN, linked, 8, Buffer.alloc(4)), "GetTokenInformation");
const info = Buffer.alloc(104);
info.writeUInt32LE(info.length);
const made = Buffer.alloc(24);
const program = wide(process.argv[2]);
const full = linked.readBigInt64LE();
demand(start(full, program, null, null, null, 0, 0, null, null, info, made), "CreateProcessAsUserW");
process.stdout.write(String(made.readUInt32LE(16)));

function demand(done, call) {
  if (done === 0) throw new Error(call);
}
