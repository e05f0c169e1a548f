import { homedir } from "node:os";
import { join } from "node:path";

/** Where tests keep what is slow to get: outside the repository, and the same from run to run. */
export function testCache(): string {
  const given = process.env["PLEX_RECLAIM_TEST_CACHE"];
  if (given !== undefined && given !== "") return given;
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "plex-reclaim-test");
}
