import { expect, test } from "vitest";
import { type Aftermath, exitCodeOf, type Problem, ProblemError } from "../../src/model/problem.ts";
import { alternativesOf } from "../words/model-samples.ts";

/**
 * The table of exit codes as it was promised, problem by problem: what becomes of the server decides, but for the
 * problems named here. Columns: nothing changed, put back, not put back, changed.
 */
type Row = readonly [nothing: number, putBack: number, notPutBack: number, changed: number];
const BY_AFTERMATH: Row = [3, 4, 5, 6];
const EXCEPTIONS: Readonly<Record<string, Row>> = {
  // Wrong usage.
  NO_COMMAND: [2, 2, 2, 2],
  UNKNOWN_COMMAND: [2, 2, 2, 2],
  UNKNOWN_OPTION: [2, 2, 2, 2],
  MISSING_VALUE: [2, 2, 2, 2],
  BAD_VALUE: [2, 2, 2, 2],
  MISSING_ARGUMENT: [2, 2, 2, 2],
  EXCESS_ARGUMENT: [2, 2, 2, 2],
  CODE_IN_ARGUMENT: [2, 2, 2, 2],
  PLEXTV_URL_NOT_LOOPBACK: [2, 2, 2, 2],
  // A bug.
  INTERNAL: [1, 1, 1, 1],
  DEMO_FAILED: [1, 1, 1, 1],
  // The change is done, or nothing was to be changed, and the server is not usable.
  CRITERIA_NOT_MET: [6, 6, 5, 6],
  NOT_USABLE: [6, 6, 5, 6],
  STILL_STARTING: [6, 6, 5, 6],
  // Ctrl-C, and everything was put back.
  INTERRUPTED: [130, 130, 5, 130],
  // Nothing was written, but a device was made at plex.tv and signed out again.
  WRONG_ACCOUNT: [4, 4, 5, 4],
};

const AFTERMATHS: readonly Aftermath[] = [
  { kind: "nothing-changed" },
  { kind: "put-back", credentials: "none" },
  { kind: "not-put-back", byHand: [] },
  { kind: "changed" },
];

test("every problem has the exit code that was promised, whatever became of the server", () => {
  const codes = [...alternativesOf("Problem").keys()];
  expect(codes.length).toBeGreaterThan(60);
  expect(codes).toEqual(expect.arrayContaining(Object.keys(EXCEPTIONS)));
  const table = (rowOf: (code: string) => readonly number[]) =>
    Object.fromEntries(codes.map((code) => [code, rowOf(code)]));
  const found = table((code) => AFTERMATHS.map((aftermath) => exitCodeOf({ code } as Problem, aftermath)));
  expect(found).toEqual(table((code) => EXCEPTIONS[code] ?? BY_AFTERMATH));
});

test("where new credentials are, and what is left to do by hand, does not decide", () => {
  for (const credentials of ["none", "written", "parked"] as const) {
    expect(
      exitCodeOf({ code: "START_FAILED", command: "", detail: "" }, { kind: "put-back", credentials }),
    ).toBe(4);
  }
  const byHand = [{ do: "start", line: "systemctl start plexmediaserver" }] as const;
  expect(exitCodeOf({ code: "INTERRUPTED", signal: "SIGINT" }, { kind: "not-put-back", byHand })).toBe(5);
});

test("a problem that is thrown changes nothing unless it says otherwise, and keeps its cause", () => {
  const cause = new Error("first");
  const plain = new ProblemError({ code: "NO_SERVER" });
  expect(plain.aftermath).toEqual({ kind: "nothing-changed" });
  expect(plain.message).toBe("NO_SERVER");
  expect("cause" in plain).toBe(false);
  const changed = new ProblemError({ code: "NOT_USABLE" }, { aftermath: { kind: "changed" }, cause });
  expect(changed.aftermath).toEqual({ kind: "changed" });
  expect(changed.cause).toBe(cause);
});
