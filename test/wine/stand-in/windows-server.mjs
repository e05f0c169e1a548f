/**
 * The stand-in server as the child of its Windows host (`plex-media-server.c`). Nobody can signal a process of
 * Windows: the end of standard input is the polite signal. Lays down beside the server's data what the real one has
 * there (PMSSVC): `Setup Plex.html`, and `.claimURL` while nobody is signed in. What is in them, and that the one
 * is made at each start without a sign-in, is UNVERIFIED.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const supportFolder = process.env["PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR"];
const dataFolder = process.env["STANDIN_DATA_FOLDER"];
const preferences = readFileSync(join(supportFolder, "Plex Media Server", "Preferences.xml"), "utf8");
const { port } = JSON.parse(readFileSync(join(supportFolder, "standin.json"), "utf8"));

mkdirSync(dataFolder, { recursive: true });
const claimUrl = `http://127.0.0.1:${port}/web/index.html`;
writeFileSync(
  join(dataFolder, "Setup Plex.html"),
  `<html><body><a href="${claimUrl}">Plex</a></body></html>\n`,
);
if (/ PlexOnlineToken="[^"]/.test(preferences)) rmSync(join(dataFolder, ".claimURL"), { force: true });
else writeFileSync(join(dataFolder, ".claimURL"), claimUrl);

// Again and again: at first nobody may be listening yet. The server takes it once.
process.stdin.once("close", () => setInterval(() => process.emit("SIGTERM"), 20));
process.stdin.resume();

await import("../../../src/standins/plex-media-server.ts");
