import { execFile } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { testCache } from "./test-cache.ts";

/**
 * The folder of an npm package of exactly that version as it was published, for any system and processor: unpacked
 * into the cache once, whichever of several test processes comes first. Its dependencies are not there.
 */
export async function npmPackage(name: string, version: string): Promise<string> {
  const folder = join(testCache(), `${name.replaceAll("/", "+")}-${version}`);
  const unpacked = join(folder, "package");
  if (existsSync(unpacked)) return unpacked;
  mkdirSync(testCache(), { recursive: true });
  await promisify(execFile)(
    "flock",
    [`${folder}.lock`, "sh", "-ec", FETCH, "sh", `${name}@${version}`, folder],
    {
      timeout: DEADLINE_MS,
    },
  );
  return unpacked;
}

const DEADLINE_MS = 240_000;

/** The folder gets its name when all is in it. */
const FETCH = `
[ ! -e "$2" ] || exit 0
rm -rf "$2.part"
mkdir "$2.part"
cd "$2.part"
npm pack --silent "$1" >/dev/null
tar -xzf ./*.tgz
rm ./*.tgz
mv "$2.part" "$2"
`;
