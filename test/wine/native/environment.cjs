// Loaded by a Node that the port has started (NODE_OPTIONS): keeps what it was given, and stays until it is ended.
const { renameSync, writeFileSync } = require("node:fs");

const { TOLD_TO: file, ...rest } = process.env;
const seen = { env: rest, folder: process.cwd(), pid: process.pid, args: process.argv.slice(1) };
writeFileSync(`${file}.new`, JSON.stringify(seen));
renameSync(`${file}.new`, file);
setInterval(() => undefined, 60_000);
