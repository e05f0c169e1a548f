import { ProblemError } from "../model/problem.ts";
import { shellWord } from "../model/shell-word.ts";
import type { World } from "../world/world.ts";
import type { Service } from "./service.ts";
import { showUnits, systemctl, type UnitProperties } from "./systemctl.ts";
import { timeSpanMs } from "./time-span.ts";

/**
 * A server that systemd keeps, as a unit of the system (not of a user's manager).
 *
 * A stop is only asked for: the manager's own kill comes `TimeoutStopSec` later, and our deadline lies below it.
 * `systemctl stop` would answer 0 also for a server that was killed; `Result=timeout` tells (seen, systemd 252).
 */
export function systemdService(world: Pick<World, "run" | "clock" | "user">, unit: string): Service {
  return new SystemdService(world, unit);
}

/** A unit that may take for ever gets this long. */
const ENDLESS_STOP_MS = 120_000;
/** Nobody waits longer than this for a polite stop, whatever the unit allows. */
const LONGEST_STOP_MS = 300_000;
/** How far our deadline lies below the manager's: this, or a quarter of a short one. */
const STOP_MARGIN_MS = 2_000;
/** A start that is still under way after this is no failure; whether the server answers is seen elsewhere. */
const START_MS = 60_000;

class SystemdService implements Service {
  readonly stopLine: string;
  readonly startLine: string;
  readonly #world: Pick<World, "run" | "clock" | "user">;
  readonly #unit: string;
  #stopRequestedMs: number | null = null;
  /** How the last run ended, as long as the unit was down when it was last looked at: saves a look. */
  #ended: UnitProperties | null = null;

  constructor(world: Pick<World, "run" | "clock" | "user">, unit: string) {
    this.#world = world;
    this.#unit = unit;
    const name = shellWord(unit.replace(/\.service$/u, ""));
    this.stopLine = `systemctl stop ${name}`;
    this.startLine = `systemctl start ${name}`;
  }

  async demandControl(settings: string): Promise<void> {
    if (this.#world.user.uid !== 0)
      throw new ProblemError({ code: "NEEDS_PRIVILEGE", path: settings, line: "" });
  }

  async stopDeadlineMs(): Promise<number> {
    const timeoutMs = stopTimeoutMs(await this.#show(["TimeoutStopUSec"]));
    const margin = Math.min(STOP_MARGIN_MS, timeoutMs / 4);
    return Math.min(timeoutMs - margin, LONGEST_STOP_MS);
  }

  async requestStop(): Promise<void> {
    const answer = await systemctl(this.#world, ["stop", "--no-block", "--", this.#unit]);
    if (answer?.status !== 0) {
      const detail = await this.#failure(answer?.status ?? null);
      throw new ProblemError({ code: "STOP_FAILED", command: this.stopLine, detail });
    }
    this.#stopRequestedMs = this.#world.clock.monotonicMs();
  }

  async condition(): Promise<"active" | "stopping" | "inactive" | "failed" | "unknown"> {
    const unit = await this.#show(["ActiveState", "Job", ...HOW_IT_ENDED]);
    this.#ended = null;
    if (unit === null) return "unknown";
    const state = unit.one("ActiveState");
    if (state === "inactive" || state === "failed") this.#ended = unit;
    switch (state) {
      case "deactivating":
        return "stopping";
      case "active":
      case "reloading":
      case "refreshing":
      case "activating":
        return (await this.#stopIsQueued(unit)) ? "stopping" : "active";
      case "inactive":
        return "inactive";
      case "failed":
        return "failed";
      default:
        return "unknown";
    }
  }

  /** An `ExecStop=` has the whole time for itself, and the processes that outlive it have it once more. */
  async queuedStopMs(): Promise<number> {
    const unit = await this.#show(["TimeoutStopUSec", "SubState"]);
    const timeoutMs = stopTimeoutMs(unit);
    const rounds = unit?.one("SubState") === "stop" ? 2 : 1;
    const since =
      this.#stopRequestedMs === null ? 0 : this.#world.clock.monotonicMs() - this.#stopRequestedMs;
    return Math.max(rounds * timeoutMs - since, 0) + AFTER_KILL_MS;
  }

  async killedByForce(): Promise<boolean> {
    const unit = this.#ended ?? (await this.#show(HOW_IT_ENDED));
    if (unit === null) return false;
    const result = unit.one("Result");
    if (result === "timeout") return true;
    const killed = unit.one("ExecMainCode") === CLD_KILLED && unit.one("ExecMainStatus") === SIGKILL;
    return killed && result === "signal";
  }

  async start(options: { resetLimit: boolean }): Promise<void> {
    this.#ended = null;
    // A unit without a failure to forget answers with an error: nothing is learnt from it.
    if (options.resetLimit) await systemctl(this.#world, ["reset-failed", "--", this.#unit]);
    const answer = await systemctl(this.#world, ["start", "--", this.#unit], START_MS);
    if (answer?.status === 0) return;
    if (answer?.timedOut && (await this.condition()) === "active") return;
    const detail = await this.#failure(answer?.status ?? null);
    throw new ProblemError({ code: "START_FAILED", command: this.startLine, detail });
  }

  async #stopIsQueued(unit: UnitProperties): Promise<boolean> {
    if (["", "0"].includes(unit.one("Job"))) return false;
    const jobs = await systemctl(this.#world, ["list-jobs", "--no-legend", "--full", "--plain"]);
    const rows = (jobs?.stdout ?? "").split("\n").map((row) => row.trim().split(/\s+/u));
    return rows.some(([, name, type]) => name === this.#unit && type === "stop");
  }

  /** Why systemd refused, in its own property words: the same in every language. */
  async #failure(status: number | null): Promise<string> {
    const names = ["LoadState", "ActiveState", "Result", "ExecMainStatus"];
    const unit = await this.#show(names);
    const properties = names.map((name) => `${name}=${unit?.one(name) ?? ""}`);
    return [`status=${status ?? "none"}`, ...(unit === null ? [] : properties)].join(" ");
  }

  async #show(properties: readonly string[]): Promise<UnitProperties | null> {
    return (await showUnits(this.#world, [this.#unit], properties))?.[0] ?? null;
  }
}

/** After the kill, systemd still has to see the processes gone. */
const AFTER_KILL_MS = 10_000;
const HOW_IT_ENDED = ["Result", "ExecMainCode", "ExecMainStatus"];
/** `si_code` of a child that a signal ended, as `systemctl show` prints it. */
const CLD_KILLED = "2";
const SIGKILL = "9";

function stopTimeoutMs(unit: UnitProperties | null): number {
  const span = timeSpanMs(unit?.one("TimeoutStopUSec") ?? "");
  return span === null || !Number.isFinite(span) ? ENDLESS_STOP_MS : span;
}
