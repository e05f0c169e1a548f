// Writes a text as the port encodes it for the console that this runs at: node console.mjs FILE TEXT
import { writeFileSync } from "node:fs";
import { encodeForConsole } from "../../../dist/world/windows/console.js";

const [file, text] = process.argv.slice(2);
writeFileSync(file, encodeForConsole(text));
