import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Top of the project. */
export const PROJECT = join(import.meta.dirname, "../..");

/** A page of Markdown, taken apart as far as the tests of the documents need. */
export interface Page {
  /** From the top of the project. */
  readonly path: string;
  readonly text: string;
  /** Levels and texts, in their order. */
  readonly headings: readonly { readonly level: number; readonly text: string }[];
  readonly fences: readonly { readonly language: string; readonly lines: readonly string[] }[];
  /** Inline code, each as it stands, in its order. */
  readonly spans: readonly string[];
  /** Targets of links. */
  readonly links: readonly string[];
}

export function page(path: string): Page {
  const text = readFileSync(join(PROJECT, path), "utf8");
  const parts = text.split(/^```(.*)\n([\s\S]*?)^```$/gm);
  const prose = parts.filter((_, index) => index % 3 === 0).join("\n");
  const fences = parts.flatMap((language, index) =>
    index % 3 === 1 ? [{ language, lines: (parts[index + 1] ?? "").trimEnd().split("\n") }] : [],
  );
  const headings = [...prose.matchAll(/^(#+) (.+)$/gm)].map(([, marks = "", heading = ""]) => ({
    level: marks.length,
    text: heading,
  }));
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  return { path, text, headings, fences, spans, links };
}

/** Every page of the project, those of `docs/` included. */
export function allPages(): Page[] {
  const top = readdirSync(PROJECT).filter((name) => name.endsWith(".md"));
  const below = readdirSync(join(PROJECT, "docs"), { recursive: true, encoding: "utf8" });
  const docs = below.filter((name) => name.endsWith(".md")).map((name) => join("docs", name));
  return [...top, ...docs].sort().map(page);
}

/** Command lines of a shell: those of code blocks, and inline code that is a call of ours. */
export function commandLines({ fences, spans }: Page): string[] {
  const blocks = fences.filter(({ language }) => language === "sh").flatMap(({ lines }) => lines);
  return [...blocks, ...spans.filter((span) => /^(?:sudo )?plex-reclaim \S|^npm /.test(span))];
}

/** The first cells of the tables' rows, without marks; heads and rules are left out. */
export function firstCells(text: string): string[] {
  const rows = [...text.matchAll(/^\| *([^|]*?) *\|.*\n(?!\|[-|: ]+\|\n)/gm)].map(([, cell = ""]) => cell);
  return rows.filter((cell) => cell !== "" && !/^[-: ]+$/.test(cell)).map((cell) => cell.replaceAll("`", ""));
}

/** The anchor that a heading gets. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s-]/gu, "")
    .replaceAll(" ", "-");
}
