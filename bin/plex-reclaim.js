#!/usr/bin/env node
// The first thing that runs: on a Node that is too old it says so in one sentence, and `--version` is answered
// without loading anything else. Only syntax that a very old Node can parse belongs here.
var version = process.versions.node.split(".").map(Number);
var args = process.argv.slice(2);
var named = process.env.LC_ALL || process.env.LC_MESSAGES || process.env.LANG;
var windows = process.platform === "win32";
var locale = named || (windows ? Intl.DateTimeFormat().resolvedOptions().locale : "");
// What a pipe of Windows leads to may read any encoding; English is the same in all of them.
var russian = /^ru/i.test(locale) && (!windows || process.stderr.isTTY === true);

if (version[0] < 22 || (version[0] === 22 && version[1] < 12)) {
  refuse(
    "plex-reclaim needs Node 22.12 or newer, and this is " + process.versions.node + ": nothing was changed.",
    "plex-reclaim нужен Node 22.12 или новее, а здесь " + process.versions.node + ": ничего не изменено.",
  );
} else if (/http|undici|fetch|net|tls|\*/i.test(process.env.NODE_DEBUG || "")) {
  // Node would print every request, and with it the claim code and the token.
  refuse(
    "NODE_DEBUG would show secrets: unset it first. Nothing was changed.",
    "NODE_DEBUG показала бы секреты: сначала уберите её. Ничего не изменено.",
  );
} else if (args.length === 1 && args[0] === "--version") {
  process.stdout.write(ownVersion() + "\n");
} else {
  import("../dist/main.js").then((program) => program.main(args));
}

function refuse(english, inRussian) {
  process.stderr.write((russian ? inRussian : english) + "\n");
  process.exitCode = 2;
}

function ownVersion() {
  var manifest = new URL("../package.json", import.meta.url);
  return JSON.parse(process.getBuiltinModule("fs").readFileSync(manifest, "utf8")).version;
}
