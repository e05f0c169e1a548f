import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Keys of a hive that stands for HKEY_USERS\SID. */
export interface ScratchHive {
  /** Merges the text of a registry file whose keys begin with `prefix`. Throws what hivexregedit says. */
  merge(text: string, prefix: string): void;
  /** The keys below `key`, as hivexregedit writes them: all text in hex. */
  export(key: string, prefix: string): string;
  close(): void;
}

/** Whether Debian's `libwin-hivex-perl` and `libhivex-bin` are there. */
export function hasHivex(): boolean {
  return (
    spawnSync("perl", ["-MWin::Hivex::Regedit", "-e", "exit !-x q(/usr/bin/hivexregedit)"], {
      env: ENVIRONMENT,
    }).status === 0
  );
}

/** An empty hive of our own making, as hivex has no way to begin one. */
export function openScratchHive(): ScratchHive {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-hive-"));
  const hive = join(folder, "hive");
  writeFileSync(hive, emptyHive());
  return {
    merge: (text, prefix) => {
      hivexregedit(["--merge", "--prefix", prefix, hive], text);
    },
    export: (key, prefix) => hivexregedit(["--export", "--prefix", prefix, hive, key], ""),
    close: () => rmSync(folder, { recursive: true }),
  };
}

/** Files and standard streams of Perl in UTF-8 (perlrun, `-C`). */
const ENVIRONMENT = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C.UTF-8", PERL_UNICODE: "SD" };
const BLOCK = 4096;
const NONE = 0xffff_ffff;

function hivexregedit(args: readonly string[], input: string): string {
  const run = spawnSync("hivexregedit", args, {
    input,
    env: ENVIRONMENT,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (run.status !== 0 || run.stderr !== "") throw new Error(`hivexregedit ${run.status}: ${run.stderr}`);
  return run.stdout;
}

/**
 * A header and one bin with a root key, a security descriptor that forbids nobody anything, and free space
 * (format: "Windows registry file format specification", M. Suhanov).
 */
function emptyHive(): Buffer {
  const bytes = Buffer.alloc(2 * BLOCK);
  bytes.write("regf");
  for (const [at, number] of [
    [4, 1],
    [8, 1],
    [20, 1],
    [24, 3],
    [32, 1],
    [36, 0x20],
    [40, BLOCK],
    [44, 1],
  ] as const) {
    bytes.writeUInt32LE(number, at);
  }
  let checksum = 0;
  for (let at = 0; at < 508; at += 4) checksum ^= bytes.readUInt32LE(at);
  bytes.writeUInt32LE(checksum >>> 0, 508);
  const bin = bytes.subarray(BLOCK);
  bin.write("hbin");
  bin.writeUInt32LE(BLOCK, 8);
  const keySize = 88;
  const securitySize = 48;
  keyCell(bin.subarray(0x20, 0x20 + keySize), 0x20 + keySize);
  securityCell(bin.subarray(0x20 + keySize), securitySize, 0x20 + keySize);
  const free = 0x20 + keySize + securitySize;
  bin.writeInt32LE(BLOCK - free, free);
  return bytes;
}

function keyCell(cell: Buffer, security: number): void {
  cell.writeInt32LE(-cell.length, 0);
  cell.write("nk", 4);
  cell.writeUInt16LE(0x2c, 6);
  for (const at of [0x20, 0x24, 0x2c, 0x34]) cell.writeUInt32LE(NONE, at);
  cell.writeUInt32LE(security, 0x30);
  cell.writeUInt16LE(4, 0x4c);
  cell.write("root", 0x50, "latin1");
}

function securityCell(cell: Buffer, size: number, self: number): void {
  cell.writeInt32LE(-size, 0);
  cell.write("sk", 4);
  cell.writeUInt32LE(self, 8);
  cell.writeUInt32LE(self, 12);
  cell.writeUInt32LE(1, 16);
  cell.writeUInt32LE(20, 20);
  cell.writeUInt8(1, 24);
  cell.writeUInt16LE(0x8000, 26);
}
