import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { formatPreferences, type Preferences } from "./preferences.ts";

export interface Owner {
  readonly username: string;
  readonly email: string;
}

export interface SettingsOptions {
  /** 40 hex digits. */
  readonly deviceId: string;
  /** Null: none of the four values is there; "": an empty `PlexOnlineToken=""` is all there is of them. */
  readonly token: string | null;
  readonly owner: Owner;
  /** `PlexOnlineHome="1"` is there. */
  readonly home?: boolean;
  /** The FriendlyName reads like one of the four attributes. */
  readonly decoy?: boolean;
  /** More settings, or others than the usual ones. */
  readonly others?: Readonly<Record<string, string>>;
}

/**
 * The settings of a server that has been in use: names and order as in public samples of 1.28 and 1.40. The
 * device id does not follow from the machine identifier: two public scripts salt it differently (PMSD, HAAPP).
 */
export function usedPreferences(options: SettingsOptions): Preferences {
  const name = options.decoy ? 'Jane\'s "PlexOnlineToken="x"" & <b>/>' : "Living room";
  return new Map([
    ["OldestPreviousVersion", "1.28.2.6106-44a5bbd28"],
    ["MachineIdentifier", randomUUID()],
    ["ProcessedMachineIdentifier", options.deviceId],
    ["AnonymousMachineIdentifier", randomUUID()],
    ["MetricsEpoch", "1"],
    ["GlobalMusicVideoPathMigrated", "1"],
    ["AcceptedEULA", "1"],
    ["FriendlyName", name],
    ["PublishServerOnPlexOnlineKey", "0"],
    ...signInValues(options),
    ["DvrIncrementalEpgLoader", "0"],
    ["CertificateUUID", randomBytes(16).toString("hex")],
    ["secureConnections", "0"],
    ["PubSubServer", "192.0.2.44"],
    ["PubSubServerRegion", "yyz"],
    ["PubSubServerPing", "106"],
    ["CertificateVersion", "3"],
    ["CloudSyncNeedsUpdate", "0"],
    ["LanguageInCloud", "1"],
    ["customConnections", "https://plex.example.com:443/, http://192.0.2.7:32400/"],
    ...Object.entries(options.others ?? {}),
  ]);
}

/**
 * Makes the folder `Plex Media Server` below an application support folder, with the settings (0600) and the
 * files that nobody but the server may touch. Answers its path.
 */
export async function layOutDataFolder(supportFolder: string, preferences: Preferences): Promise<string> {
  const dataFolder = join(supportFolder, "Plex Media Server");
  for (const folder of ["Logs", "Cache", join("Plug-in Support", "Databases")])
    await mkdir(join(dataFolder, folder), { recursive: true });
  await writeFile(join(dataFolder, "Preferences.xml"), formatPreferences(preferences), { mode: 0o600 });
  // The certificate and the database are not real ones: they are there to be found untouched.
  await writeFile(join(dataFolder, "Cache", "cert-v2.p12"), randomBytes(64), { mode: 0o600 });
  const databases = join(dataFolder, "Plug-in Support", "Databases");
  await writeFile(join(databases, "com.plexapp.plugins.library.db"), "SQLite format 3\0");
  await writeFile(join(dataFolder, ".LocalAdminToken"), randomBytes(16).toString("hex"), { mode: 0o600 });
  return dataFolder;
}

function signInValues({ token, owner, home }: SettingsOptions): [string, string][] {
  if (token === null) return [];
  if (token === "") return [["PlexOnlineToken", ""]];
  return [
    ["PlexOnlineToken", token],
    ["PlexOnlineUsername", owner.username],
    ["PlexOnlineMail", owner.email],
    ...(home ? [["PlexOnlineHome", "1"] satisfies [string, string]] : []),
  ];
}
