import type { BackupReport, Criterion, Result, ServerReport, SignInWay } from "../model/event.ts";
import { printable } from "../model/printable.ts";
import type { ServerState } from "../model/server.ts";
import { type Appearance, type Tone, toned } from "./appearance.ts";
import { sayCoded, worded } from "./coded.ts";
import type { WordKey, Words } from "./words.ts";
import { wrap } from "./wrap.ts";

/** Everything that a result has to report, in blocks of short lines. */
export function resultBlocks(words: Words, { command, outcome, data }: Result, out: Appearance): string[] {
  const blocks: string[] = [];
  if (data.servers !== undefined) blocks.push(...serversBlocks(words, data.servers, out));
  if (data.backups !== undefined) blocks.push(...backupsBlocks(words, data.backups, out));
  const done = outcome.ok && command !== "status";
  const facts = [
    done && data.server !== undefined ? words.say("result.server", { server: data.server }) : "",
    data.run === undefined ? "" : words.say("result.run", { run: data.run }),
    data.backup === undefined ? "" : words.say("result.backup", { backup: data.backup }),
    data.ownerChanged === true ? words.say("result.owner-changed") : "",
  ].filter((line) => line !== "");
  if (facts.length > 0) blocks.push(facts.map((line) => wrap(`  ${line}`, out.columns, "    ")).join("\n"));
  if (data.criteria !== undefined && data.criteria.length > 0) {
    const lines = data.criteria.map((criterion) => criterionLine(words, criterion, out));
    blocks.push([toned(words.say("heading.criteria"), "heading", out), ...lines].join("\n"));
  }
  if (data.signInWays !== undefined && data.signInWays.length > 0) {
    const ways = data.signInWays.map((way, index) => wayText(words, way, index + 1, out.columns));
    blocks.push([toned(words.say("heading.sign-in"), "heading", out), ...ways].join("\n"));
  }
  if (data.undoLine !== undefined) {
    blocks.push(wrap(words.say("result.undo", { undoLine: data.undoLine }), out.columns));
  }
  return blocks;
}

/** One criterion: how it came out, its name, and what was seen. */
export function criterionLine(words: Words, criterion: Criterion, appearance: Appearance): string {
  const [label, tone] = CRITERION_LABELS[criterion.result];
  const name = worded(words, "", "criterion", criterion.name);
  const result = worded(words, "", "result", criterion.result);
  const seen = sayCoded(words, `evidence.${criterion.evidence.code}`, "", criterion.evidence);
  const text = wrap(`  ${words.say(label)}  ${name}: ${result} (${seen})`, appearance.columns, "      ");
  return text.replace(words.say(label), (word) => toned(word, tone, appearance));
}

const CRITERION_LABELS = {
  met: ["label.ok", "good"],
  "not-met": ["label.fail", "bad"],
  "cannot-tell": ["label.unknown", "doubtful"],
} as const satisfies Record<Criterion["result"], readonly [WordKey, Tone]>;

const STATE_LABELS = {
  "signed-in": ["label.ok", "good"],
  "signed-out": ["label.warn", "doubtful"],
  "locked-out": ["label.fail", "bad"],
  "identity-lost": ["label.fail", "bad"],
  unknown: ["label.unknown", "doubtful"],
} as const satisfies Record<ServerState, readonly [WordKey, Tone]>;

function serversBlocks(words: Words, servers: readonly ServerReport[], out: Appearance): string[] {
  if (servers.length === 0) return [wrap(words.say("status.none"), out.columns)];
  return servers.map((server) => serverBlock(words, server, out));
}

function serverBlock(words: Words, server: ServerReport, out: Appearance): string {
  const [label, tone] = STATE_LABELS[server.state];
  const say = (key: WordKey, data: Record<string, string>) => words.say(key, data);
  const lines = [
    say("status.state", { state: worded(words, "", "state", server.state) }),
    say("status.reason", { reason: words.say(`reason.${server.reason}`) }),
  ];
  if (server.detail !== undefined) {
    lines.push(say("status.detail", { detail: detailText(words, server.detail) }));
  }
  lines.push(say("status.settings", { settings: server.settings }), ...folderLines(words, server));
  lines.push(words.say(`status.running.${server.running}`));
  lines.push(say("status.install", { install: worded(words, "", "install", server.install) }));
  lines.push(say("status.service", { service: worded(words, "", "service", server.service) }));
  if (server.runsAs !== undefined) lines.push(say("status.runs-as", { name: server.runsAs }));
  if (server.account !== null) lines.push(say("status.account", { account: server.account }));
  if (server.friendlyName !== null) lines.push(say("status.name", { name: server.friendlyName }));
  if (server.line !== undefined) lines.push(say("status.see-more", { line: server.line }));
  const next = `status.next.${server.state}`;
  if (words.has(next)) lines.push(say(next, { id: server.id }));
  const head = `${toned(words.say(label), tone, out)}  ${toned(printable(server.id), "heading", out)}`;
  return [head, ...lines.map((line) => wrap(`  ${line}`, out.columns, "    "))].join("\n");
}

/** Folders that the place of the settings does not tell. */
function folderLines(
  words: Words,
  { settings, dataFolder, logFolder, certificateFolder }: ServerReport,
): string[] {
  if (isIn(settings, dataFolder)) return [];
  const lines = [words.say("status.data", { folder: dataFolder })];
  if (!isIn(logFolder, dataFolder)) lines.push(words.say("status.logs", { folder: logFolder }));
  if (!isIn(certificateFolder, dataFolder))
    lines.push(words.say("status.certificate", { folder: certificateFolder }));
  return lines;
}

function isIn(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`) || path.startsWith(`${folder}\\`);
}

/** The detail is the reason of the problem that a change would meet. */
function detailText(words: Words, detail: string): string {
  const families = ["problem.SETTINGS_MALFORMED", "problem.SETTINGS_UNSAFE", "problem.IDENTITY_LOST"];
  const known = families.map((family) => `${family}.reason.${detail}`).find((key) => words.has(key));
  return known !== undefined && words.has(known) ? words.say(known) : detail;
}

function backupsBlocks(words: Words, backups: readonly BackupReport[], out: Appearance): string[] {
  if (backups.length === 0) return [words.say("backup.none")];
  return backups.map((backup) => backupBlock(words, backup, out));
}

function backupBlock(words: Words, backup: BackupReport, out: Appearance): string {
  const dead = backup.signIn === "present" && backup.deadSignIn;
  const lines = [
    words.say("backup.made", { time: backup.createdAt.replace("T", " ").replace(/(?:\.\d+)?Z$/, "") }),
    words.say("backup.of", { server: backup.server, settings: backup.settings }),
    ...(backup.run === null ? [] : [words.say("backup.run", { run: backup.run })]),
    words.say("backup.size", { count: backup.sizeBytes }),
    words.say(dead ? "backup.sign-in.dead" : `backup.sign-in.${backup.signIn}`),
    words.say("backup.folder", { folder: backup.folder }),
  ];
  const head = toned(printable(backup.id), "heading", out);
  return [head, ...lines.map((line) => wrap(`  ${line}`, out.columns, "    "))].join("\n");
}

function wayText(words: Words, way: SignInWay, number: number, columns: number): string {
  const { way: name, ...data } = way;
  const text = words.say(`way.${name}`, data);
  return wrap(`  ${number}. ${text}`, columns, "     ");
}
