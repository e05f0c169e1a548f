#!/usr/bin/env node
// The first thing that runs: on a Node that is too old it says so in one sentence, and `--version` is answered
// without loading anything else. Only syntax that a very old Node can parse belongs here.
var version = process.versions.node.split(".").map(Number);
var args = process.argv.slice(2);

if (version[0] < 22 || (version[0] === 22 && version[1] < 12)) {
  var russian = /^ru/i.test(process.env.LC_ALL || process.env.LC_MESSAGES || process.env.LANG || "");
  process.stderr.write(
    russian
      ? "plex-reclaim нужен Node 22.12 или новее, а здесь " +
          process.versions.node +
          ": ничего не изменено.\n"
      : "plex-reclaim needs Node 22.12 or newer, and this is " +
          process.versions.node +
          ": nothing was changed.\n",
  );
  process.exitCode = 2;
} else if (/http|undici|fetch|net|tls|\*/i.test(process.env.NODE_DEBUG || "")) {
  // Node would print every request, and with it the claim code and the token.
  process.stderr.write(
    "plex-reclaim: NODE_DEBUG shows secrets; unset it first. / NODE_DEBUG раскрывает секреты: сначала уберите её.\n",
  );
  process.exitCode = 2;
} else if (args.length === 1 && args[0] === "--version") {
  var fs = process.getBuiltinModule("fs");
  var manifest = JSON.parse(fs.readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  process.stdout.write(manifest.version + "\n");
} else {
  import("../dist/main.js").then((program) => program.main(args));
}
