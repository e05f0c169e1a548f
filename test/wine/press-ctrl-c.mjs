// Runs in a Windows Node: presses Ctrl-C in the console of the program that has the given environment variable, as
// the keyboard of a real console would. Started as: node press-ctrl-c.mjs NAME=value
//
// Wine's own console cannot do that where a program reads single keys: it takes the character 3 for the end of the
// keyboard and hears nothing after it (conhost of Wine 10).
import { createRequire } from "node:module";

const koffi = createRequire(import.meta.url)("@koromix/koffi-win32-x64");
const kernel = koffi.load("kernel32.dll");
const call = (name, result, ...types) => kernel.func("__stdcall", name, result, types);
const openProcess = call("OpenProcess", "intptr", "uint32", "int", "uint32");
const closeHandle = call("CloseHandle", "int", "intptr");
const readMemory = call("ReadProcessMemory", "int", "intptr", "uint64", "void *", "size_t", "void *");
const enumerate = call("K32EnumProcesses", "int", "void *", "uint32", "void *");
const query = koffi
  .load("ntdll.dll")
  .func("__stdcall", "NtQueryInformationProcess", "int", ["intptr", "int", "void *", "uint32", "void *"]);

const [wanted = ""] = process.argv.slice(2);
const pid = processes().find(
  (candidate) => candidate !== process.pid && environment(candidate).includes(wanted),
);
if (pid === undefined) throw new Error(`no program has ${wanted}`);
press(pid);

function processes() {
  const pids = Buffer.alloc(4 * 4096);
  const size = Buffer.alloc(4);
  demand("K32EnumProcesses", enumerate(pids, pids.length, size));
  return Array.from({ length: size.readUInt32LE() / 4 }, (_, index) => pids.readUInt32LE(index * 4));
}

/** The variables of a process as `NAME=value`; none where they cannot be read. */
function environment(candidate) {
  const PROCESS_QUERY_INFORMATION = 0x400;
  const PROCESS_VM_READ = 0x10;
  const handle = openProcess(PROCESS_QUERY_INFORMATION | PROCESS_VM_READ, 0, candidate);
  if (Number(handle) === 0) return [];
  try {
    const basic = Buffer.alloc(48);
    if (query(handle, 0, basic, basic.length, null) !== 0) return [];
    // PEB.ProcessParameters, and its Environment and EnvironmentSize, on 64 bits.
    const parameters = memory(handle, basic.readBigUInt64LE(8) + 0x20n, 8).readBigUInt64LE();
    const start = memory(handle, parameters + 0x80n, 8).readBigUInt64LE();
    const size = Number(memory(handle, parameters + 0x3f0n, 8).readBigUInt64LE());
    return memory(handle, start, size).toString("utf16le").split("\0");
  } catch {
    return [];
  } finally {
    closeHandle(handle);
  }
}

function memory(handle, address, size) {
  const bytes = Buffer.alloc(size);
  demand("ReadProcessMemory", readMemory(handle, address, bytes, size, null));
  return bytes;
}

function press(program) {
  const GENERIC_READ_WRITE = 0xc0000000;
  const OPEN_EXISTING = 3;
  call("FreeConsole", "int")();
  demand("AttachConsole", call("AttachConsole", "int", "uint32")(program));
  // We are at that console now, and the key shall not end us.
  demand("SetConsoleCtrlHandler", call("SetConsoleCtrlHandler", "int", "void *", "int")(null, 1));
  const open = call(
    "CreateFileW",
    "intptr",
    "str16",
    "uint32",
    "uint32",
    "void *",
    "uint32",
    "uint32",
    "intptr",
  );
  const input = open("CONIN$", GENERIC_READ_WRITE, 3, null, OPEN_EXISTING, 0, 0);
  const keys = Buffer.concat([key(true), key(false)]);
  const write = call("WriteConsoleInputW", "int", "intptr", "void *", "uint32", "void *");
  demand("WriteConsoleInputW", write(input, keys, 2, Buffer.alloc(4)));
}

/** An INPUT_RECORD of the key C with the left Ctrl. */
function key(down) {
  const record = Buffer.alloc(20);
  record.writeUInt16LE(1, 0);
  record.writeInt32LE(down ? 1 : 0, 4);
  record.writeUInt16LE(1, 8);
  record.writeUInt16LE(0x43, 10);
  record.writeUInt16LE(0x2e, 12);
  record.writeUInt16LE(3, 14);
  record.writeUInt32LE(8, 16);
  return record;
}

function demand(name, answer) {
  if (answer === 0) throw new Error(`${name}: ${call("GetLastError", "uint32")()}`);
}
