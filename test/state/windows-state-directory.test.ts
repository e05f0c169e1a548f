import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  existingStateDirectory,
  openStateDirectory,
  stateDirectoryPath,
} from "../../src/state/state-directory.ts";
import type { WindowsSelf } from "../../src/world/windows-system.ts";
import { type WindowsDrive, windowsDrive } from "../support/windows-drive.ts";
import { problemOf, scratch, stateIn, worldAt } from "./state-of-test.ts";

const ME = "S-1-5-21-1-2-3-1001";
const ANOTHER = "S-1-5-21-1-2-3-1002";
const SYSTEM = "S-1-5-18";
const ADMINISTRATORS = "S-1-5-32-544";
const USERS = "S-1-5-32-545";
const EVERYBODY = "S-1-1-0";
const CREATOR_OWNER = "S-1-3-0";
const OWNER_RIGHTS = "S-1-3-4";

const person = { elevated: false, split: false };
const byConsent = { elevated: true, split: true };
const alwaysAdministrator = { elevated: true, split: false };

function drive(
  self: Partial<WindowsSelf> = person,
  env: Readonly<Record<string, string>> = {},
): WindowsDrive {
  return windowsDrive(scratch(), self, env, worldAt());
}

describe("on Windows, the state directory", () => {
  test.each([
    ["a person's own", person, {}, "C:\\Users\\jane\\AppData\\Local\\plex-reclaim"],
    ["where LOCALAPPDATA says", person, { LOCALAPPDATA: "D:\\Local" }, "D:\\Local\\plex-reclaim"],
    [
      "where a share is",
      person,
      { LOCALAPPDATA: "\\\\srv\\home\\Local" },
      "\\\\srv\\home\\Local\\plex-reclaim",
    ],
    [
      "not where a relative one says",
      person,
      { LOCALAPPDATA: "Local" },
      "C:\\Users\\jane\\AppData\\Local\\plex-reclaim",
    ],
    [
      "not where a folder of any drive is",
      person,
      { LOCALAPPDATA: "\\Local" },
      "C:\\Users\\jane\\AppData\\Local\\plex-reclaim",
    ],
    [
      "not where an empty one says",
      person,
      { LOCALAPPDATA: "" },
      "C:\\Users\\jane\\AppData\\Local\\plex-reclaim",
    ],
    ["the administrators'", byConsent, { LOCALAPPDATA: "D:\\Local" }, "E:\\ProgramData\\plex-reclaim"],
    [
      "where the system says, and not the environment",
      byConsent,
      { PROGRAMDATA: "C:\\Users\\jane", ProgramData: "C:\\Users\\jane" },
      "E:\\ProgramData\\plex-reclaim",
    ],
    [
      "the same without a consent",
      alwaysAdministrator,
      { PROGRAMDATA: "C:\\Users\\jane", ProgramData: "C:\\Users\\jane" },
      "E:\\ProgramData\\plex-reclaim",
    ],
  ] as const)("is %s", (_, self, env, expected) => {
    const { world } = drive(self, env);
    expect(stateDirectoryPath(world)).toBe(expected);
    expect(stateDirectoryPath(world, "F:\\mine")).toBe("F:\\mine");
  });

  test("is made for its owner alone, and its parents as any folder", async () => {
    const { world, madePrivate, hostPath } = drive();
    await stateIn(world, "C:\\a\\b\\state");
    expect(madePrivate).toEqual(["C:\\a\\b\\state"]);
    expect(readdirSync(hostPath("C:\\a\\b\\state")).sort()).toEqual(["backups", "parked", "runs"]);
    const again = await existingStateDirectory(world, "C:\\a\\b\\state");
    expect(again?.path).toBe("C:\\a\\b\\state");
  });

  test("is made once by two programs that need it at the same moment", async () => {
    const { world, madePrivate } = drive();
    await Promise.all([stateIn(world, "C:\\a\\state"), stateIn(world, "C:\\a\\state")]);
    expect(madePrivate).toEqual(["C:\\a\\state"]);
  });

  test("is not made by looking for it", async () => {
    const { world, hostPath } = drive();
    expect(await existingStateDirectory(world, "C:\\state")).toBeNull();
    expect(existsSync(hostPath("C:\\state"))).toBe(false);
  });

  test("is refused where a link has its name", async () => {
    const { world, hostPath, access } = drive();
    mkdirSync(hostPath("C:\\real"));
    symlinkSync("real", hostPath("C:\\state"));
    access.set("C:\\state", { owner: ME, allowed: [ME] });
    expect(await problemOf(openStateDirectory(world, "C:\\state"))).toMatchObject({
      code: "STATE_DIRECTORY_UNUSABLE",
    });
    expect(readdirSync(hostPath("C:\\real"))).toEqual([]);
  });

  test("is refused with the system's reason where nobody may look who may enter it", async () => {
    const { world, hostPath } = drive();
    mkdirSync(hostPath("C:\\state"));
    expect(await problemOf(openStateDirectory(world, "C:\\state"))).toEqual({
      code: "STATE_DIRECTORY_UNUSABLE",
      path: "C:\\state",
      reason: "ENOENT",
    });
  });
});

describe("one that is there", () => {
  const ours = [SYSTEM, ADMINISTRATORS];
  test.each([
    ["a person's own", person, ME, [...ours, ME], null],
    [
      "a person's, with what is made in it and whoever owns it",
      person,
      ME,
      [ME, CREATOR_OWNER, OWNER_RIGHTS],
      null,
    ],
    ["one that the administrators own", person, ADMINISTRATORS, [...ours, ME], null],
    ["the system's", person, SYSTEM, [...ours, ME], null],
    ["one that nobody may enter", person, ME, [], null],
    ["another person's", person, ANOTHER, [...ours, ME], "owner"],
    ["one that another person may enter", person, ME, [...ours, ME, ANOTHER], "mode"],
    ["one that the users may enter", person, ME, [...ours, ME, USERS], "mode"],
    ["one that everybody may enter", person, ME, [EVERYBODY], "mode"],
    ["the administrators', for one by consent", byConsent, ADMINISTRATORS, ours, null],
    ["what we may have made without the consent", byConsent, ME, ours, "owner"],
    ["what we may change without the consent", byConsent, ADMINISTRATORS, [...ours, ME], "mode"],
    ["another person's, for one by consent", byConsent, ANOTHER, ours, "owner"],
    ["our own, for one who is always administrator", alwaysAdministrator, ME, [...ours, ME], null],
    ["another person's, for one who is always", alwaysAdministrator, ANOTHER, ours, "owner"],
    ["one that another may enter, for one who is always", alwaysAdministrator, ME, [ANOTHER], "mode"],
  ] as const)("%s is taken or refused", async (_, self, owner, allowed, reason) => {
    const { world, hostPath, access } = drive(self);
    const path = "C:\\state";
    for (const name of ["", "\\runs", "\\backups", "\\parked"]) mkdirSync(hostPath(path + name));
    access.set(path, { owner, allowed });
    if (reason === null) {
      expect((await stateIn(world, path)).path).toBe(path);
      expect((await existingStateDirectory(world, path))?.path).toBe(path);
      return;
    }
    const refusal = { code: "STATE_DIRECTORY_UNUSABLE", path, reason };
    expect(await problemOf(openStateDirectory(world, path))).toEqual(refusal);
    expect(await problemOf(existingStateDirectory(world, path))).toEqual(refusal);
  });

  test("and was prepared by another between our look and our making of it is refused", async () => {
    const { world, hostPath, access } = drive();
    const { lstat } = world.files;
    const late = {
      ...world,
      files: {
        ...world.files,
        lstat: async (path: string) => {
          const nothing = lstat(path);
          await nothing.catch(() => undefined);
          if (path === "C:\\state") {
            mkdirSync(hostPath(path), { recursive: true });
            access.set(path, { owner: ANOTHER, allowed: [ANOTHER, ME] });
          }
          return nothing;
        },
      },
    };
    expect(await problemOf(openStateDirectory(late, "C:\\state"))).toMatchObject({ reason: "owner" });
    expect(readdirSync(hostPath("C:\\state"))).toEqual([]);
  });
});
