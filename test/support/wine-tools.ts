import { readFile, writeFile } from "node:fs/promises";
import { type RegValues, readReg, writeReg } from "./reg-text.ts";
import type { WineMachine } from "./wine.ts";

/**
 * A machine looked at and changed with Wine's own tools, and with none of the program's code. Files of the registry
 * are exchanged in a folder of the machine (a Windows path), which must be there.
 */
export class WineTools {
  readonly #machine: WineMachine;
  readonly #folder: string;

  constructor(machine: WineMachine, folder: string) {
    this.#machine = machine;
    this.#folder = folder;
  }

  /** What a program printed. @throws Error when it does not answer 0 */
  async succeed(program: string, args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.#machine.run(program, args);
    if (status !== 0) throw new Error(`status ${status}: ${program} ${args.join(" ")}\n${stdout}${stderr}`);
    return stdout;
  }

  /** Sets values; `-` as one removes it, and a key with `-` before its name is removed whole. */
  async importReg(keys: ReadonlyMap<string, RegValues>): Promise<void> {
    const path = `${this.#folder}\\import.reg`;
    await writeFile(this.#machine.hostPath(path), writeReg(keys));
    await this.succeed("reg.exe", ["import", path]);
  }

  /** The values of a key; none when there is no such key. */
  async valuesOf(key: string): Promise<RegValues> {
    const path = `${this.#folder}\\export.reg`;
    const { status } = await this.#machine.run("reg.exe", ["export", key, path, "/y"]);
    if (status !== 0) return new Map();
    return readReg(await readFile(this.#machine.hostPath(path))).get(key) ?? new Map();
  }

  /** The numbers of the processes whose executable has that name. */
  async processesCalled(name: string): Promise<number[]> {
    const listed = await this.succeed("tasklist.exe", ["/fo", "csv", "/nh"]);
    const all = [...listed.matchAll(/^"([^"]*)","(\d+)"/gm)];
    return all.filter(([, found]) => found === name).map(([, , pid]) => Number(pid));
  }

  /** `RUNNING`, `STOPPED`, …; null when there is no such service. */
  async serviceState(name: string): Promise<string | null> {
    const { stdout } = await this.#machine.run("sc.exe", ["query", name]);
    return /STATE\s*:\s*\d+\s+(\w+)/.exec(stdout)?.[1] ?? null;
  }
}

/** The SID of the one account that Wine runs everything as. */
export async function sidOfWine(machine: WineMachine): Promise<string> {
  const { stdout } = await machine.run("reg.exe", ["query", "HKEY_USERS"]);
  const sid = /HKEY_USERS\\(S-1-5-21-[\d-]+)\s/.exec(stdout)?.[1];
  if (sid === undefined) throw new Error(`no account in this Wine: ${stdout}`);
  return sid;
}
