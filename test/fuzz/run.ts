/**
 * Every campaign of this folder, one after the other: `npm run fuzz -- --count 1000000 --seed 7`. `--only registry-file`
 * runs one. Exit 1 as soon as one fails.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";

const args = process.argv.slice(2);
const at = args.indexOf("--only");
const only = at < 0 ? null : (args.splice(at, 2)[1] ?? "");
const campaigns = readdirSync(import.meta.dirname)
  .filter((file) => file !== basename(import.meta.filename))
  .map((file) => basename(file, ".ts"))
  .filter((name) => only === null || name === only)
  .sort();
if (campaigns.length === 0) throw new Error(`no campaign ${only}`);
for (const name of campaigns) {
  console.log(`== ${name}`);
  const { status } = spawnSync(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...args], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(1);
}
