import { readFileSync } from "node:fs";
import { join } from "node:path";
import { exitCodeOf, type Problem } from "../../src/model/problem.ts";
import { PROJECT } from "./markdown.ts";

interface Shape {
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Shape>>;
  readonly oneOf?: readonly Shape[];
}

/** The shipped schema; another test holds it to the types of `src/model`. */
const { $defs: DEFINITIONS } = JSON.parse(
  readFileSync(join(PROJECT, "schema/output.schema.json"), "utf8"),
) as { readonly $defs: Readonly<Record<string, Shape>> };

/** Codes with the names of their data, as the schema has them. */
export function codesOf(name: "Problem" | "Note" | "Evidence"): { code: string; data: string[] }[] {
  return (DEFINITIONS[name]?.oneOf ?? []).map(({ properties = {} }) => ({
    code: String(properties["code"]?.const),
    data: Object.keys(properties).filter((key) => key !== "code"),
  }));
}

/** The values of an enumeration of the schema. */
export function valuesOf(name: string): string[] {
  return (DEFINITIONS[name]?.enum ?? []).map(String);
}

/** The exit codes that a result can have. */
export function exitCodes(): number[] {
  const failures = DEFINITIONS["failure"]?.properties?.["exitCode"]?.enum ?? [];
  return [0, ...failures.map(Number)].sort((a, b) => a - b);
}

/** The table of a kind of codes as it stands in `docs/json.md`. */
export function codeTable(name: "Problem" | "Note" | "Evidence"): string {
  const exits = name === "Problem";
  const head = exits ? "| code | data | exit |\n|---|---|---|" : "| code | data |\n|---|---|";
  const rows = codesOf(name).map(({ code, data }) => {
    const cells = [`\`${code}\``, data.map((each) => `\`${each}\``).join(", ")];
    return `| ${(exits ? [...cells, exitOf(code)] : cells).join(" | ")} |`;
  });
  return [head, ...rows].join("\n");
}

/** One number where the code decides, else what the state of the server makes of it. */
function exitOf(code: string): string {
  const problem = { code } as Problem;
  const ends = [
    exitCodeOf(problem, { kind: "nothing-changed" }),
    exitCodeOf(problem, { kind: "put-back", credentials: "none" }),
    exitCodeOf(problem, { kind: "changed" }),
  ];
  return new Set(ends).size === 1 ? String(ends[0]) : "by state";
}
