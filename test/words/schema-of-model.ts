import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * The JSON Schema of every line of `--json`, made from the source of the model, so that the shipped file cannot
 * drift from the types. Understands just the kinds of types that the model uses, and throws for any other.
 * Run by itself (`node test/words/schema-of-model.ts`) it writes the file anew; then format it.
 */
export function schemaOfModel(): object {
  const types = declarations(["event", "problem", "server", "settings"]);
  const reader = new TypeReader(types);
  const data = reader.object("ResultData");
  const head = { schema: { const: 1 }, type: { const: "result" }, command: { type: "string" } };
  const events = ["step", "plan", "note", "criterion"].map((type) => `#/$defs/event-${type}`);
  const success = {
    type: "object",
    properties: { ...head, code: reader.ref("SuccessCode"), exitCode: { const: 0 }, ...data.properties },
    required: ["schema", "type", "command", "code", "exitCode"],
    additionalProperties: false,
    allOf: [
      requireOf("status", "servers"),
      requireOf("verify", "criteria"),
      requireOf("backup list", "backups"),
    ],
  };
  const problemCodes = reader.alternatives("Problem").map((each) => codeOf(each));
  const failure = {
    type: "object",
    properties: {
      ...head,
      code: { enum: problemCodes },
      exitCode: { enum: reader.literals("ExitCode").filter((code) => code !== 0) },
      problem: reader.ref("Problem"),
      state: { enum: reader.alternatives("Aftermath").map((each) => kindOf(each)) },
      credentials: { enum: ["none", "written", "parked"] },
      byHand: { type: "array", items: reader.ref("ByHand") },
      ...data.properties,
    },
    required: ["schema", "type", "command", "code", "exitCode", "problem", "state"],
    additionalProperties: false,
    allOf: [requireWhen("put-back", "credentials"), requireWhen("not-put-back", "byHand")],
  };
  const defs = {
    success,
    failure,
    "event-step": eventLine("step", { step: reader.ref("Step"), phase: { enum: ["begin", "end"] } }),
    "event-plan": eventLine("plan", { plan: reader.ref("PlanView") }),
    "event-note": eventLine("note", { note: reader.ref("Note") }),
    "event-criterion": eventLine("criterion", { criterion: reader.ref("Criterion") }),
    "event-demo": demoLine(reader),
  };
  const named = reader.definitions();
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "One line of the output of plex-reclaim --json",
    description:
      "Events come first, one a line; the last line is the result, also for wrong usage. Unknown codes are to be treated as failures.",
    oneOf: [...events, "#/$defs/event-demo", "#/$defs/success", "#/$defs/failure"].map(($ref) => ({ $ref })),
    $defs: { ...defs, ...named },
  };
}

function eventLine(type: string, properties: Record<string, object>): object {
  return {
    type: "object",
    properties: { schema: { const: 1 }, type: { const: type }, ...properties },
    required: ["schema", "type", ...Object.keys(properties)],
    additionalProperties: false,
  };
}

function demoLine(reader: TypeReader): object {
  const parts = reader.alternatives("Narration").map((each) => {
    const { properties, required } = each as ObjectSchema;
    return {
      ...each,
      properties: { schema: { const: 1 }, type: { const: "demo" }, ...properties },
      required: ["schema", "type", ...required],
    };
  });
  return { oneOf: parts };
}

function requireWhen(state: string, field: string): object {
  return {
    if: { properties: { state: { const: state } }, required: ["state"] },
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema.
    then: { required: [field] },
    else: { properties: { [field]: false } },
  };
}

function requireOf(command: string, field: string): object {
  return {
    if: { properties: { command: { const: command } } },
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema.
    then: { required: [field] },
  };
}

type Schema = object;
interface ObjectSchema {
  type: "object";
  properties: Record<string, Schema>;
  required: string[];
  additionalProperties: false;
}

function codeOf(schema: Schema): string {
  return ((schema as ObjectSchema).properties["code"] as { const: string }).const;
}

function kindOf(schema: Schema): string {
  return ((schema as ObjectSchema).properties["kind"] as { const: string }).const;
}

/** Every exported type and interface: its name and the text of its type. */
function declarations(files: readonly string[]): Map<string, string> {
  const types = new Map<string, string>();
  for (const file of files) {
    const source = readFileSync(new URL(`../../src/model/${file}.ts`, import.meta.url), "utf8")
      .replace(/\/\*[\s\S]*?\*\//g, "")
      .replace(/^\s*\/\/.*$/gm, "");
    for (const match of source.matchAll(/^export type (\w+) =\s*([\s\S]*?);\n(?=\n|export|const|$)/gm)) {
      types.set(match[1] ?? "", match[2] ?? "");
    }
    for (const match of source.matchAll(/^export interface (\w+) (\{[\s\S]*?\n\})/gm)) {
      types.set(match[1] ?? "", match[2] ?? "");
    }
    for (const match of source.matchAll(/^export const (\w+) = (\[[\s\S]*?\]) as const/gm)) {
      types.set(`(typeof ${match[1]})[number]`, (match[2] ?? "").match(/"[^"]+"/g)?.join(" | ") ?? "");
    }
  }
  return types;
}

class TypeReader {
  readonly #types: ReadonlyMap<string, string>;
  readonly #defined = new Map<string, Schema>();

  constructor(types: ReadonlyMap<string, string>) {
    this.#types = types;
  }

  definitions(): Record<string, Schema> {
    return Object.fromEntries(this.#defined);
  }

  ref(name: string): Schema {
    if (!this.#defined.has(name)) {
      this.#defined.set(name, {});
      this.#defined.set(name, this.#read(this.#text(name)));
    }
    return { $ref: `#/$defs/${name}` };
  }

  object(name: string): ObjectSchema {
    return this.#read(this.#text(name)) as ObjectSchema;
  }

  alternatives(name: string): Schema[] {
    return split(this.#text(name), "|").map((part) => this.#read(part));
  }

  literals(name: string): unknown[] {
    return split(this.#text(name), "|").map((part) => JSON.parse(part));
  }

  #text(name: string): string {
    const text = this.#types.get(name);
    if (text === undefined) throw new Error(`no type ${name} in the model`);
    return text.trim();
  }

  #read(text: string): Schema {
    const parts = split(text, "|");
    if (parts.length > 1) return this.#union(parts);
    const [type = ""] = parts;
    if (type.startsWith("{")) return this.#object(type);
    if (type.startsWith("readonly ") && type.endsWith("[]")) {
      return { type: "array", items: this.#read(type.slice("readonly ".length, -2)) };
    }
    if (/^"[^"]*"$/.test(type) || /^\d+$/.test(type) || type === "true" || type === "false") {
      return { const: JSON.parse(type) };
    }
    if (type === "string" || type === "boolean" || type === "null") return { type };
    if (type === "number") return { type: "integer" };
    if (type.startsWith("(typeof")) return this.#read(this.#text(type));
    return this.ref(type);
  }

  #union(parts: readonly string[]): Schema {
    const schemas = parts.map((part) => this.#read(part));
    if (schemas.every((schema) => "const" in schema)) {
      return { enum: schemas.map((schema) => (schema as { const: unknown }).const) };
    }
    return { [parts.every((part) => part.startsWith("{")) ? "oneOf" : "anyOf"]: schemas };
  }

  #object(text: string): ObjectSchema {
    const properties: Record<string, Schema> = {};
    const required: string[] = [];
    for (const field of split(text.slice(1, -1), ";")) {
      const match = /^readonly (\w+)(\??):\s*([\s\S]+)$/.exec(field);
      if (match === null) throw new Error(`cannot read the field ${field}`);
      const [, name = "", optional, type = ""] = match;
      properties[name] = this.#read(type);
      if (optional === "") required.push(name);
    }
    return { type: "object", properties, required, additionalProperties: false };
  }
}

/** Splits at a separator outside brackets and quotation marks. */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let current = "";
  let quoted = false;
  for (const character of text) {
    if (character === '"') quoted = !quoted;
    if (!quoted && "{([".includes(character)) depth += 1;
    if (!quoted && "})]".includes(character)) depth -= 1;
    if (depth === 0 && !quoted && character === separator) {
      parts.push(current);
      current = "";
    } else {
      current += character;
    }
  }
  return [...parts, current].map((part) => part.trim()).filter((part) => part !== "");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = new URL("../../schema/output.schema.json", import.meta.url);
  writeFileSync(file, `${JSON.stringify(schemaOfModel(), null, 2)}\n`);
}
