/**
 * Runs on a booted host, where the tests look through our own eyes: prints what was asked for as JSON.
 * `find [OPTIONS as JSON]`, `processes SERVER`, `service SERVER CALL [ARGUMENT]` (both as JSON).
 */
import { findServers } from "../../src/installs/find-servers.ts";
import { ProblemError } from "../../src/model/problem.ts";
import type { Server } from "../../src/model/server.ts";
import { linuxProcessesOf } from "../../src/services/linux-processes.ts";
import type { Service } from "../../src/services/service.ts";
import { serviceOf } from "../../src/services/service-of.ts";
import { realWorld } from "../../src/world/real.ts";

const [what = "", first = "{}", call = "", argument = "{}"] = process.argv.slice(2);
try {
  console.log(JSON.stringify({ answer: (await answer()) ?? null }));
} catch (error) {
  if (!(error instanceof ProblemError)) throw error;
  console.log(JSON.stringify({ problem: error.problem }));
}

async function answer(): Promise<unknown> {
  const world = realWorld();
  if (what === "find") return await findServers(world, JSON.parse(first));
  const server = JSON.parse(first) as Server;
  if (what === "processes") return await linuxProcessesOf(world, server);
  const service = serviceOf(world, server);
  return await service[call as Exclude<keyof Service, "stopLine" | "startLine">](JSON.parse(argument));
}
