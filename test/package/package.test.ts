import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

describe("the package as it is published", () => {
  let folder = "";
  let files: string[] = [];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "plex-reclaim-package-"));
    const packed = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
      cwd: PROJECT,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [{ filename, files: listed }] = JSON.parse(packed) as [
      { filename: string; files: { path: string }[] },
    ];
    files = listed.map(({ path }) => path);
    execFileSync("tar", ["-xzf", filename], { cwd: folder });
    // Its dependencies, as an installation would lay them down.
    symlinkSync(join(PROJECT, "node_modules"), join(folder, "package", "node_modules"));
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("holds the program, the schema, both languages and the documents, and nothing of the workshop", () => {
    for (const wanted of [
      "bin/plex-reclaim.js",
      "dist/main.js",
      "dist/words/en.json",
      "dist/words/ru.json",
      "dist/standins/plex-media-server.js",
      "schema/output.schema.json",
      "README.md",
      "README.ru.md",
      "CHANGELOG.md",
      "LICENSE",
      "package.json",
    ]) {
      expect(files).toContain(wanted);
    }
    expect(files.filter((path) => /^(src|test|bench|scripts)\/|\.ts$|(^|\/)\./.test(path))).toEqual([]);
  });

  it("runs from where it was unpacked", () => {
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [join(folder, "package", "bin", "plex-reclaim.js"), ...args], {
        encoding: "utf8",
        env: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8" },
        cwd: "/",
      });
    const { version } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as {
      version: string;
    };
    expect(run("--version").stdout).toBe(`${version}\n`);
    expect(run("--help").stdout).toContain("plex-reclaim reset");
    expect(run("demo", "--json").status).toBe(0);
  });

  it("runs no script when it is installed", () => {
    const { scripts } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    expect(Object.keys(scripts).filter((name) => /^(pre|post)?(install|prepare)$/.test(name))).toEqual([]);
  });
});
