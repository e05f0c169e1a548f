import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Host, PROJECT_ON_HOST, quoted, SERVER_ON_HOST } from "./systemd-root.ts";

/** The parent of the data folder that the deb package's unit names. */
export const PACKAGE_PARENT = "/var/lib/plexmediaserver/Library/Application Support";
export const PACKAGE_UNIT_FILE = "/lib/systemd/system/plexmediaserver.service";

/** The stand-in server as a command line of a unit or a shell; from the build where there is one. */
export const STANDIN_LINE = `"${SERVER_ON_HOST}" ${standinScript()}`;

export interface UnitOptions {
  /** `NAME=value`, each; written as one quoted assignment. */
  readonly environment?: readonly string[];
  /** Null: no `User=` line. */
  readonly user?: string | null;
  readonly execStart?: string;
  /** Further lines of `[Service]`. */
  readonly lines?: readonly string[];
  /** Lines of `[Unit]`. */
  readonly unitLines?: readonly string[];
}

/** A unit file that runs the stand-in server. */
export function unitText(options: UnitOptions = {}): string {
  const user = options.user === undefined ? "plex" : options.user;
  return [
    "[Unit]",
    "Description=Plex Media Server",
    ...(options.unitLines ?? []),
    "[Service]",
    ...(options.environment ?? []).map((assignment) => `Environment="${assignment}"`),
    ...(user === null ? [] : [`User=${user}`, `Group=${user}`]),
    `ExecStart=${options.execStart ?? STANDIN_LINE}`,
    "Restart=on-failure",
    ...(options.lines ?? []),
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ].join("\n");
}

/** The unit as the deb package lays it down, not started; `plexmediaserver.service`, account `plex`. */
export async function installPackage(host: Host, options: UnitOptions = {}): Promise<void> {
  const environment = [`${SUPPORT_FOLDER}=${PACKAGE_PARENT}`, ...(options.environment ?? [])];
  await host.write(PACKAGE_UNIT_FILE, unitText({ ...options, environment }));
  await host.succeed("systemctl daemon-reload");
}

/** Settings of a server, complete enough for the stand-in to keep its identity. */
export async function layDownSettings(host: Host, parent: string, owner = "plex"): Promise<string> {
  const folder = `${parent}/Plex Media Server`;
  const path = `${folder}/Preferences.xml`;
  const text = `<?xml version="1.0" encoding="utf-8"?>\n<Preferences MachineIdentifier="4f0c6b5e-0b7f-4d1e-9a7d-0d8f5a3b2c1e" ProcessedMachineIdentifier="${"0123456789".repeat(4)}"/>\n`;
  await host.succeed(`install -d ${quoted(folder)} && chown -R ${owner}: ${quoted(parent)}`);
  await host.write(path, text, { owner: `${owner}:`, mode: "600" });
  return path;
}

export const SUPPORT_FOLDER = "PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR";

function standinScript(): string {
  const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const built = "dist/standins/plex-media-server.js";
  return `${PROJECT_ON_HOST}/${existsSync(join(project, built)) ? built : "src/standins/plex-media-server.ts"}`;
}
