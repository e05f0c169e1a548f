import { chmod, mkdir, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { layOutDataFolder, type Owner, usedPreferences } from "../../src/standins/data-folder.ts";
import { freePort } from "../../src/standins/locked-out-server.ts";
import { randomDeviceId } from "../../src/standins/plex-tv-records.ts";
import type { Mac, MacUser } from "./mac.ts";
import { APPLICATION } from "./mac-application.ts";
import { AGENT, MacServer, type ServerOnMac } from "./mac-server.ts";

/** Makes the bundle, the folders of the account and the private ones; settings come later. */
export async function layOutServer(
  mac: Mac,
  user: MacUser,
  options: ServerOnMac,
): Promise<{ server: MacServer; description: object; loginItems: object[] }> {
  const { plexTv, owner = JANE, state = "locked-out" } = options;
  const deviceId = randomDeviceId();
  await plexTv.addAccount(owner.username, owner.email);
  const given = { "signed-out": null, "empty-token": "" }[state as string];
  const token = given === undefined ? await plexTv.issueServerToken(owner.username, deviceId) : given;
  const preferences = usedPreferences({ ...options, deviceId, owner, token });
  const support = mac.state("servers", String(user.uid));
  const port = options.port ?? options.behaviour?.port ?? (await freePort());
  const server = new MacServer(mac, user, options, { owner, deviceId, port, support, preferences });
  await layOutBundle(mac, options);
  await layOutFolders(mac, server, support, preferences);
  if (options.startedBy === "keep-alive-agent") await layOutAgent(mac, server);
  const item = { name: APPLICATION.name, path: server.application };
  return {
    server,
    description: { support, dataFolder: mac.real(server.dataFolder) },
    loginItems: options.startedBy === "login-item" ? [item] : [],
  };
}

async function layOutBundle(mac: Mac, { application = {} }: ServerOnMac): Promise<void> {
  const { path, executable } = { ...APPLICATION, ...application };
  await mkdir(mac.real(`${path}/Contents/MacOS`), { recursive: true });
  await writeFile(mac.real(executable), "stand-in\n");
  await chmod(mac.real(executable), 0o755);
  await writeFile(
    mac.real(`${path}/Contents/Info.plist`),
    plist({ CFBundleIdentifier: APPLICATION.bundleId, CFBundleExecutable: APPLICATION.name }),
  );
}

/** Logs and certificates have places of their own on a Mac; settings are in no file of the data folder. */
async function layOutFolders(
  mac: Mac,
  server: MacServer,
  support: string,
  preferences: ReadonlyMap<string, string>,
): Promise<void> {
  const parent = join(mac.real(server.dataFolder), "..");
  await mkdir(parent, { recursive: true });
  const made = await layOutDataFolder(parent, new Map(preferences));
  for (const path of [server.logFolder, server.cacheFolder]) {
    await mkdir(mac.real(path), { recursive: true });
    await mac.own(path, server.user);
  }
  await rename(join(made, "Cache", "cert-v2.p12"), join(mac.real(server.cacheFolder), "cert-v2.p12"));
  for (const name of ["Logs", "Cache", "Preferences.xml"])
    await rm(join(made, name), { recursive: true, force: true });
  await mac.own(server.dataFolder, server.user);
  await mkdir(join(support, "data"), { recursive: true });
  await rm(join(support, "data", "Logs"), { recursive: true, force: true });
  await symlink(mac.real(server.logFolder), join(support, "data", "Logs"));
}

async function layOutAgent(mac: Mac, server: MacServer): Promise<void> {
  const job = `<key>ProgramArguments</key><array><string>${server.executable}</string></array><key>KeepAlive</key><true/>`;
  await writeFile(mac.real(server.agent), plist({ Label: AGENT }, job));
  await mac.own(server.agent, server.user);
}

function plist(texts: Readonly<Record<string, string>>, more = ""): string {
  const pairs = Object.entries(texts).map(([key, text]) => `<key>${key}</key><string>${text}</string>`);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0"><dict>${pairs.join("")}${more}</dict></plist>\n`;
}

const JANE: Owner = { username: "jane", email: "jane@example.com" };
