import { createRequire } from "node:module";
import { SystemError } from "../world.ts";
import { refusal } from "./errors.ts";

/** A handle, a pointer or an address of Windows; 0 is none. */
export type Handle = bigint;

/** What a function of Windows takes: memory is given as bytes of ours that live for the call, or null. */
interface ArgumentKinds {
  readonly handle: Handle;
  readonly memory: Uint8Array | null;
  readonly int32: number;
  readonly uint32: number;
}

/** What it answers; a BOOL is an `int32`. */
interface ResultKinds {
  readonly handle: Handle;
  readonly int32: number;
  readonly uint32: number;
  readonly void: undefined;
}

type ArgumentKind = keyof ArgumentKinds;
type ResultKind = keyof ResultKinds;
type NativeFunction<R extends ResultKind, A extends readonly ArgumentKind[]> = (
  ...values: { readonly [I in keyof A]: ArgumentKinds[A[I]] }
) => ResultKinds[R];

/** Declares a function of one library. Nothing is loaded before its first call. */
export type Declare = <const R extends ResultKind, const A extends readonly ArgumentKind[]>(
  name: string,
  result: R,
  ...kinds: A
) => NativeFunction<R, A>;

/**
 * A library of the system, for its functions to be declared. It is taken from the folder that the kernel names as the
 * system's and from no other: neither our working folder, nor PATH, nor `%SystemRoot%` has a say.
 *
 * The functions declared throw `SystemError` with call `load` when the native module or the library is not there.
 */
export function systemLibrary(file: string): Declare {
  let library: KoffiLibrary | undefined;
  return (name, result, ...kinds) => {
    type Native = NativeFunction<typeof result, typeof kinds>;
    let native: Native | undefined;
    const bind = (): Native => {
      library ??= opened(`${systemFolder()}\\${file}`);
      return bound(library, name, result, kinds) as Native;
    };
    return (...values) => {
      native ??= bind();
      return native(...values);
    };
  };
}

/** The folder that the kernel names as the system's, as `C:\Windows\system32`. */
export function systemFolder(): string {
  folder ??= askedSystemFolder();
  return folder;
}

/** The refusal that the last native call has left (`GetLastError`); to be asked for before the next native call. */
export function lastRefusal(call: string, path: string): SystemError {
  return refusal(lastError(), call, path);
}

/** The number of the last native call's refusal; koffi keeps it from one call of ours to the next. */
export function lastError(): number {
  return getLastError();
}

/** @throws SystemError the refusal of the call, where it answered 0 (FALSE, no handle) */
export function demand<T extends number | bigint>(answer: T, call: string, path: string): T {
  // biome-ignore lint/suspicious/noDoubleEquals: 0 and 0n alike.
  if (answer == 0) throw lastRefusal(call, path);
  return answer;
}

/**
 * A text for a wide (UTF-16) argument, with its NUL. Lone surrogates, which Windows allows in names, stay.
 *
 * @throws SystemError `EINVAL` for a text with a NUL: Windows would silently use the part before it
 */
export function wide(text: string): Buffer {
  if (text.includes("\0")) throw new SystemError("EINVAL", "wide", text.replaceAll("\0", "\u2400"));
  return Buffer.from(`${text}\0`, "utf16le");
}

/** The text that a function wrote into a buffer, up to its NUL. */
export function wideText(bytes: Buffer): string {
  const text = bytes.toString("utf16le");
  const end = text.indexOf("\0");
  return end === -1 ? text : text.slice(0, end);
}

/** The text at an address that Windows gave us; empty for none. */
export function wideTextAt(address: Handle): string {
  return address === 0n ? "" : copyOf(address, 2 * lstrlenW(address)).toString("utf16le");
}

/** A copy of memory that Windows gave us. */
export function copyOf(address: Handle, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (length > 0) moveMemory(bytes, address, BigInt(length));
  return bytes;
}

/** Where bytes of ours are, to be put into a structure; the caller keeps them until Windows is done with them. */
export function addressOf(bytes: Uint8Array): Handle {
  return BigInt(koffi().address(bytes));
}

/** Runs the body with a handle and closes it, whatever comes of it. */
export function withHandle<T>(handle: Handle, body: (handle: Handle) => T): T {
  try {
    return body(handle);
  } finally {
    closeHandle(handle);
  }
}

const kernel32 = systemLibrary("kernel32.dll");
const getLastError = kernel32("GetLastError", "uint32");
const closeHandle = kernel32("CloseHandle", "int32", "handle");
const lstrlenW = kernel32("lstrlenW", "int32", "handle");
const moveMemory = kernel32("RtlMoveMemory", "void", "memory", "handle", "handle");

/** The little of koffi's native module that is used; its own types leave every value open. */
interface Koffi {
  load(path: string): KoffiLibrary;
  address(bytes: Uint8Array): number | bigint;
}

interface KoffiLibrary {
  func(convention: string, name: string, result: string, kinds: readonly string[]): KoffiFunction;
}

type KoffiFunction = (...values: readonly unknown[]) => unknown;

const KOFFI_TYPES: Readonly<Record<ArgumentKind | ResultKind, string>> = {
  handle: "intptr",
  memory: "void *",
  int32: "int32",
  uint32: "uint32",
  void: "void",
};

let loaded: Koffi | undefined;

/** The native module alone: its wrapper package looks for it in many places, some of them of the environment. */
function koffi(): Koffi {
  loaded ??= nativeModule(`@koromix/koffi-win32-${process.arch}`);
  return loaded;
}

function nativeModule(name: string): Koffi {
  try {
    return createRequire(import.meta.url)(name) as Koffi;
  } catch (error) {
    const { code } = error as { code?: unknown };
    throw new SystemError(code === "MODULE_NOT_FOUND" ? "ENOENT" : "ENOEXEC", "load", name, { cause: error });
  }
}

function opened(path: string): KoffiLibrary {
  try {
    return koffi().load(path);
  } catch (error) {
    throw new SystemError("ENOENT", "load", path, { cause: error });
  }
}

function bound(
  library: KoffiLibrary,
  name: string,
  result: ResultKind,
  kinds: readonly ArgumentKind[],
): KoffiFunction {
  const more = Array<ArgumentKind>(Math.max(0, LEAST_ARGUMENTS - kinds.length)).fill("handle");
  const types = [...kinds, ...more].map((kind) => KOFFI_TYPES[kind]);
  const zeros = more.map(() => 0n);
  let native: KoffiFunction;
  try {
    native = library.func("__stdcall", name, KOFFI_TYPES[result], types);
  } catch (error) {
    throw new SystemError("ENOSYS", "load", name, { cause: error });
  }
  const call: KoffiFunction = (...values) => native(...values, ...zeros);
  if (result !== "handle") return call;
  // koffi answers a number where the value fits one.
  return (...values) => BigInt(call(...values) as number | bigint);
}

/**
 * koffi's stack ends with a call's last argument, and Wine's way into a system call reads a fifth and a sixth one of
 * functions that have fewer: beyond the end. Arguments too many are no concern of a function's in 64-bit Windows.
 */
const LEAST_ARGUMENTS = 6;

const LONGEST_FOLDER = 32_768;
let folder: string | undefined;

/** `kernel32.dll` is in every process already: its bare name can mean no other file. */
function askedSystemFolder(): string {
  const ask = bound(opened("kernel32.dll"), "GetSystemDirectoryW", "uint32", ["memory", "uint32"]);
  const bytes = Buffer.alloc(2 * LONGEST_FOLDER);
  const length = ask(bytes, LONGEST_FOLDER);
  const path = wideText(bytes);
  if (length !== path.length || path === "")
    throw new SystemError("ENOENT", "GetSystemDirectoryW", "kernel32.dll");
  return path;
}
