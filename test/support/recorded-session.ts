import { type Ending, endingOf, resultOf } from "../../src/commands/ending.ts";
import type { ChangeOptions, CredentialOptions, TargetOptions } from "../../src/commands/invocation.ts";
import type { Session } from "../../src/commands/session.ts";
import type { Event, Result } from "../../src/model/event.ts";
import { Secret } from "../../src/model/secret.ts";
import { jsonReporter } from "../../src/words/report-json.ts";
import type { World } from "../../src/world/world.ts";
import type { SimulatedMachine } from "./simulated-world.ts";

/** A session without a person, whose every event and result is kept, as data and as the JSON that went out. */
export function recordedSession(world: World, interrupt = new AbortController().signal) {
  const events: Event[] = [];
  const printed: string[] = [];
  const reporter = jsonReporter({ out: (text) => printed.push(text), err: (text) => printed.push(text) });
  const session: Session = {
    world,
    context: {
      world,
      interrupt,
      emit(event) {
        events.push(event);
        reporter.event(event);
      },
    },
    questions: {
      interactive: false,
      confirm: async () => false,
      hidden: async () => null,
    },
    program: { command: ["plex-reclaim"], args: [] },
    readStandardInput: async () => "",
  };
  return {
    session,
    events,
    printed,
    /** Carries a command out as `main` does. */
    async end(command: string, work: () => Promise<Ending>): Promise<Result> {
      const result = resultOf(command, await ended(work));
      reporter.result(result);
      return result;
    },
  };
}

async function ended(work: () => Promise<Ending>): Promise<Ending> {
  try {
    return await work();
  } catch (error) {
    return endingOf(error);
  }
}

/** Windows and macOS need none: the application is asked to close, and started again. */
const COMMANDS_OF_LINUX = {
  stopCommand: "simulated-stop",
  startCommand: "simulated-start",
  processMatch: "/usr/lib/plexmediaserver/Plex Media Server",
};

export type AllOptions = TargetOptions & ChangeOptions & CredentialOptions;

/** The options of a run on the simulated machine, with `--yes`. */
export function optionsFor(
  machine: SimulatedMachine,
  given: { code?: string; expectAccount?: string } = {},
): AllOptions {
  return {
    json: true,
    noColor: false,
    accessible: false,
    verbose: false,
    offline: false,
    yes: true,
    dryRun: false,
    keepStopped: false,
    stateDir: `${machine.folder}/state`,
    settings: machine.settingsPath,
    ...(machine.world.platform === "linux" ? COMMANDS_OF_LINUX : {}),
    serverUrl: "http://127.0.0.1:32400",
    ...(given.code === undefined ? {} : { claimCodeInEnvironment: new Secret(given.code) }),
    ...(given.expectAccount === undefined ? {} : { expectAccount: given.expectAccount }),
  };
}
