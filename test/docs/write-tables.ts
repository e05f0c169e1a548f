// Brings the tables of docs/json.md up to date with the model: node test/docs/write-tables.ts
import { readFileSync, writeFileSync } from "node:fs";
import { codesOf, codeTable } from "./code-tables.ts";

const page = new URL("../../docs/json.md", import.meta.url);
let text = readFileSync(page, "utf8");
for (const name of ["Problem", "Note", "Evidence"] as const) {
  const codes = new Set(codesOf(name).map(({ code }) => code));
  const fresh = codeTable(name);
  const head = fresh.split("\n").slice(0, 2).join("\n");
  const tables = text.split("\n\n");
  const index = tables.findIndex((block) => {
    const rows = block.split("\n").slice(2);
    const known = rows.filter((row) => codes.has(/^\| `(\w+)`/.exec(row)?.[1] ?? ""));
    return block.startsWith("|") && rows.length > 3 && known.length > rows.length / 2;
  });
  if (index === -1) throw new Error(`no table of every ${name} (${head})`);
  tables[index] = fresh.trimEnd();
  text = tables.join("\n\n");
}
writeFileSync(page, text.endsWith("\n") ? text : `${text}\n`);
