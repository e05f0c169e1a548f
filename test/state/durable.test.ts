import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { appendLine } from "../../src/state/durable.ts";
import { realFiles } from "../../src/world/files.ts";
import { scratchFolder } from "../world/scratch.ts";

test("a file that two runs begin at the same time has the lines of both", async () => {
  const path = scratchFolder();
  const folder = await realFiles().openFolder(path);
  onTestFinished(() => folder.close());
  const lines = ["one", "two", "three"];
  await Promise.all(lines.map((line) => appendLine(folder, "lines", line)));
  const written = readFileSync(join(path, "lines"), "utf8")
    .split("\n")
    .filter((line) => line !== "");
  expect(written.sort()).toEqual([...lines].sort());
});
