import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";

/** One line of `--json`. */
export type JsonLine = Readonly<Record<string, unknown>>;

const ajv = new Ajv2020({ allErrors: false, strict: false });
const schema = JSON.parse(
  readFileSync(new URL("../../schema/output.schema.json", import.meta.url), "utf8"),
) as object;
const isLine = ajv.compile(schema);

/** Throws for a line that the shipped schema does not know. */
export function demandSchema(line: JsonLine): void {
  if (isLine(line)) return;
  const [first] = isLine.errors ?? [];
  throw new Error(`not in the schema: ${JSON.stringify(line)}: ${first?.instancePath} ${first?.message}`);
}
