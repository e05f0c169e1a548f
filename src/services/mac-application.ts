import { ProblemError } from "../model/problem.ts";
import type { Server } from "../model/server.ts";
import type { Service, ServiceWorld } from "./service.ts";

/** TODO: being built. */
export function macApplication(_world: ServiceWorld, _server: Server, _application: string): Service {
  throw new ProblemError({ code: "INTERNAL", detail: "not built" });
}
