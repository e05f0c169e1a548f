// Writes schema/output.schema.json anew from the model: node test/words/write-schema.ts
import { mkdirSync, writeFileSync } from "node:fs";
import { schemaOfModel } from "./schema-of-model.ts";

const folder = new URL("../../schema/", import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL("output.schema.json", folder), `${JSON.stringify(schemaOfModel(), null, 2)}\n`);
