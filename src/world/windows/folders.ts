import { win32 } from "node:path";
import type { FolderAccess, WindowsSelf } from "../windows-system.ts";
import { copyAccess } from "./copy-access.ts";
import { refusal } from "./errors.ts";
import { demandReplaceable, rename } from "./known-file.ts";
import { copyOf, demand, type Handle, systemLibrary, wide } from "./native.ts";
import { allowedSids } from "./sid.ts";
import { sidTextAt } from "./token.ts";

/** Who may enter folders and use files. Paths may be longer than 260. */
export function nativeFolders(self: () => WindowsSelf): FolderAccess {
  return {
    makePrivate: async (path) => makePrivate(path, self()),
    accessOf: async (path) => accessOf(path),
    copyAccess: async (from, to) => copyAccess(from, to),
    demandReplaceable: async (file) => demandReplaceable(file),
    rename: async (file, to, replacing) => rename(file, to, replacing),
  };
}

const EVERYBODY = "S-1-1-0";
/** `SDDL_REVISION_1`. */
const REVISION = 1;
const SE_FILE_OBJECT = 1;
const OWNER_INFORMATION = 0x1;
const DACL_INFORMATION = 0x4;

const kernel32 = systemLibrary("kernel32.dll");
const createDirectory = kernel32("CreateDirectoryW", "int32", "memory", "memory");
const localFree = kernel32("LocalFree", "handle", "handle");
const advapi32 = systemLibrary("advapi32.dll");
const descriptorFromText = advapi32(
  "ConvertStringSecurityDescriptorToSecurityDescriptorW",
  "int32",
  "memory",
  "uint32",
  "memory",
  "memory",
);
const getNamedSecurityInfo = advapi32(
  "GetNamedSecurityInfoW",
  "uint32",
  "memory",
  "uint32",
  "uint32",
  "memory",
  "memory",
  "memory",
  "memory",
  "memory",
);

/** Protected (`P`): nothing of the folder above is inherited; all of it (`OICI`) by what is made inside. */
function privateTo(self: WindowsSelf): string {
  const owner = self.elevated ? "BA" : self.sid;
  const entries = self.elevated ? ["SY", "BA"] : ["SY", "BA", self.sid];
  return `O:${owner}D:P${entries.map((sid) => `(A;OICI;FA;;;${sid})`).join("")}`;
}

function makePrivate(path: string, self: WindowsSelf): void {
  withDescriptor(privateTo(self), (descriptor) => {
    // SECURITY_ATTRIBUTES: its size, the descriptor, and whether children inherit the handle.
    const attributes = Buffer.alloc(24);
    attributes.writeUInt32LE(attributes.length);
    attributes.writeBigInt64LE(descriptor, 8);
    demand(createDirectory(wide(win32.toNamespacedPath(path)), attributes), "CreateDirectoryW", path);
  });
}

function withDescriptor(text: string, body: (descriptor: Handle) => void): void {
  const out = Buffer.alloc(8);
  const call = "ConvertStringSecurityDescriptorToSecurityDescriptorW";
  demand(descriptorFromText(wide(text), REVISION, out, null), call, text);
  try {
    body(out.readBigInt64LE());
  } finally {
    localFree(out.readBigInt64LE());
  }
}

function accessOf(path: string): { readonly owner: string; readonly allowed: readonly string[] } {
  const [owner, list, descriptor] = [Buffer.alloc(8), Buffer.alloc(8), Buffer.alloc(8)];
  const name = wide(win32.toNamespacedPath(path));
  const wanted = OWNER_INFORMATION | DACL_INFORMATION;
  const number = getNamedSecurityInfo(name, SE_FILE_OBJECT, wanted, owner, null, list, null, descriptor);
  if (number !== 0) throw refusal(number, "GetNamedSecurityInfoW", path);
  try {
    return {
      owner: sidTextAt(owner.readBigInt64LE()),
      allowed: allowedIn(list.readBigInt64LE(), path),
    };
  } finally {
    localFree(descriptor.readBigInt64LE());
  }
}

/** No list at all (as on a file system without them) allows everything to everybody. */
function allowedIn(list: Handle, path: string): string[] {
  if (list === 0n) return [EVERYBODY];
  const size = copyOf(list, 8).readUInt16LE(2);
  return allowedSids(copyOf(list, size), path);
}
