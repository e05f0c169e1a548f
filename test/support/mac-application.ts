/** Bundle id: its domain is called after it (SUP-LOCK). */
export const APPLICATION = {
  name: "Plex Media Server",
  bundleId: "com.plexapp.plexmediaserver",
  path: "/Applications/Plex Media Server.app",
  executable: "/Applications/Plex Media Server.app/Contents/MacOS/Plex Media Server",
} as const;

/** The bundle at another place, or under another name: its executable keeps its own. */
export function bundleAt(path: string): Pick<MacApplication, "path" | "executable"> {
  return { path, executable: `${path}/Contents/MacOS/${APPLICATION.name}` };
}

/** The application of the server, one for all accounts of a Mac. */
export interface MacApplication {
  /** What it does when it is asked to quit: ends, says no (-128), takes it and stays, or never answers (-1712). */
  readonly quits: "politely" | "refuses" | "ignores" | "no-answer";
  /** `at-once`: before anybody can see it; `soon`: after it was in the list of processes. */
  readonly diesAtStart: "no" | "at-once" | "soon";
  /** Names of programs of the bundle that run below it. */
  readonly helpers: readonly string[];
  /** Where its bundle is, when that is not the usual place; see `bundleAt`. */
  readonly path?: string;
  readonly executable?: string;
}

export const DEFAULT_APPLICATION: MacApplication = {
  quits: "politely",
  diesAtStart: "no",
  helpers: ["PlexScriptHost", "Plex Tuner Service"],
};
