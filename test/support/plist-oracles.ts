import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { numberOfReal, type PlistValue } from "../../src/stores/plist-value.ts";

/**
 * A value as both oracles can tell it: without widths and spellings, NaN as such, dates to the microsecond (as Python
 * keeps them).
 */
export type Plain =
  | readonly ["array", readonly Plain[]]
  | readonly ["dict", readonly (readonly [string, Plain])[]]
  | readonly ["string" | "integer" | "real" | "date" | "data" | "uid" | "boolean", string];

export function plainOf(value: PlistValue): Plain {
  switch (value.kind) {
    case "array":
      return ["array", value.items.map(plainOf)];
    case "dictionary":
      return ["dict", value.entries.map(([key, item]) => [key, plainOf(item)])];
    case "string":
      return ["string", value.value];
    case "integer":
      return ["integer", `${value.value}`];
    case "real": {
      const bits = Buffer.alloc(8);
      bits.writeDoubleBE(numberOfReal(value));
      return ["real", Number.isNaN(numberOfReal(value)) ? "nan" : bits.toString("hex")];
    }
    case "date":
      return ["date", `${microseconds(value.seconds)}`];
    case "data":
      return ["data", Buffer.from(value.bytes).toString("base64")];
    case "uid":
      return ["uid", `${value.value}`];
    case "boolean":
      return ["boolean", value.value ? "1" : "0"];
  }
}

function microseconds(seconds: number): bigint {
  const whole = Math.floor(seconds);
  return BigInt(whole) * 1_000_000n + BigInt(Math.round((seconds - whole) * 1e6));
}

/** Where a reader knows no UIDs in XML: the dictionary that stands there. */
export function withoutUids(plain: Plain): Plain {
  const [kind, content] = plain;
  if (kind === "array") return ["array", content.map(withoutUids)];
  if (kind === "dict") return ["dict", content.map(([key, value]) => [key, withoutUids(value)])];
  return kind === "uid" ? ["dict", [["CF$UID", ["integer", content]]]] : plain;
}

const SCRIPT = `
import base64, datetime, json, plistlib, struct, sys
EPOCH = datetime.datetime(2001, 1, 1)
MICRO = datetime.timedelta(microseconds=1)
def plain(value):
    if isinstance(value, bool): return ["boolean", "1" if value else "0"]
    if isinstance(value, int): return ["integer", str(value)]
    if isinstance(value, float):
        return ["real", "nan" if value != value else struct.pack(">d", value).hex()]
    if isinstance(value, str): return ["string", value]
    if isinstance(value, bytes): return ["data", base64.b64encode(value).decode()]
    if isinstance(value, plistlib.UID): return ["uid", str(value.data)]
    if isinstance(value, datetime.datetime): return ["date", str((value - EPOCH) // MICRO)]
    if isinstance(value, list): return ["array", [plain(item) for item in value]]
    return ["dict", [[key, plain(item)] for key, item in value.items()]]
def value(plain):
    kind, content = plain
    if kind == "boolean": return content == "1"
    if kind == "integer": return int(content)
    if kind == "real": return float("nan") if content == "nan" else struct.unpack(">d", bytes.fromhex(content))[0]
    if kind == "string": return content
    if kind == "data": return base64.b64decode(content)
    if kind == "uid": return plistlib.UID(int(content))
    if kind == "date": return EPOCH + int(content) * MICRO
    if kind == "array": return [value(item) for item in content]
    return {key: value(item) for key, item in content}
def answer(asked):
    try:
        if "load" in asked:
            data = base64.b64decode(asked["load"])
            # Left to itself it takes no XML file that begins with a comment.
            form = plistlib.FMT_BINARY if data.startswith(b"bplist") else plistlib.FMT_XML
            return plain(plistlib.loads(data, fmt=form))
        form = plistlib.FMT_XML if asked["format"] == "xml" else plistlib.FMT_BINARY
        made = plistlib.dumps(value(asked["dump"]), fmt=form, sort_keys=False)
        return base64.b64encode(made).decode()
    except Exception as error:
        return {"error": type(error).__name__ + ": " + str(error)[:80]}
json.dump([answer(asked) for asked in json.load(sys.stdin)], sys.stdout)
`;

export interface Refused {
  readonly error: string;
}

/** Whether what the oracle gave is a refusal of its. */
export function isRefused(answer: unknown): answer is Refused {
  return typeof answer === "object" && answer !== null && "error" in answer;
}

/** Python's plistlib: how it reads each file. One process. */
export function plistlibReadings(files: readonly Uint8Array[]): (Plain | Refused)[] {
  return askPython(files.map((bytes) => ({ load: Buffer.from(bytes).toString("base64") }))) as (
    | Plain
    | Refused
  )[];
}

/** Python's plistlib: what it writes for each. One process. */
export function plistlibFiles(trees: readonly Plain[], format: "binary" | "xml"): (Uint8Array | Refused)[] {
  const answers = askPython(trees.map((dump) => ({ dump, format })));
  return answers.map((made) =>
    typeof made === "string" ? new Uint8Array(Buffer.from(made, "base64")) : (made as Refused),
  );
}

/** libplist's plistutil: one file in the other format, or null where it fails. */
export function plistutil(bytes: Uint8Array, format: "bin" | "xml"): Uint8Array | null {
  const folder = mkdtempSync(join(tmpdir(), "plex-reclaim-plist-"));
  try {
    const [from, to] = [join(folder, "in"), join(folder, "out")];
    writeFileSync(from, bytes);
    const run = spawnSync("plistutil", ["-i", from, "-o", to, "-f", format], {
      env: ENVIRONMENT,
      encoding: "utf8",
    });
    return run.status === 0 ? new Uint8Array(readFileSync(to)) : null;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function hasPlistlib(): boolean {
  return spawnSync("python3", ["-I", "-c", "import plistlib"], { env: ENVIRONMENT }).status === 0;
}

export function hasPlistutil(): boolean {
  return spawnSync("plistutil", ["-v"], { env: ENVIRONMENT }).status === 0;
}

const ENVIRONMENT = { PATH: "/usr/local/bin:/usr/bin:/bin" };

function askPython(asked: readonly object[]): unknown[] {
  const run = spawnSync("python3", ["-I", "-c", SCRIPT], {
    input: JSON.stringify(asked),
    env: ENVIRONMENT,
    encoding: "utf8",
    maxBuffer: 1 << 29,
  });
  if (run.status !== 0) throw new Error(`python3: ${run.status} ${run.stderr}`);
  return JSON.parse(run.stdout);
}
