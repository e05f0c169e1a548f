import { chmodSync, chownSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, type TestContext } from "vitest";
import type { Note } from "../../src/model/event.ts";
import { imageOf } from "../../src/stores/preferences-file.ts";
import { realWorld } from "../../src/world/real.ts";
import { type RunResult, SystemError, type World } from "../../src/world/world.ts";
import { contentOf, ext4, needs, overlay, PLEX, sandbox, strayEntries, tmpfs, tool } from "./sandbox.ts";
import { NEW, OLD, placeSettings, problemOf, storeAt } from "./settings-of-test.ts";

const TOOLS = ["getfattr", "setfattr", "setfacl", "mount", "mkfs.ext4"];
const image = (text: string) => imageOf(Buffer.from(text));
const SELINUX = "system_u:object_r:plex_var_lib_t:s0";

/** Everything that the system keeps beside the bytes, of a file that has some of every kind. */
function decorate(path: string): string {
  tool("setfacl", "--modify", "user:2000:r,group:3000:rw", path);
  const values = { "user.note": "kept", "user.empty": "", "trusted.note": "kept", "security.note": "kept" };
  for (const [name, value] of Object.entries(values))
    tool("setfattr", "--name", name, "--value", value, path);
  tool("setfattr", "--name=security.selinux", `--value=${SELINUX}`, path);
  // Left out by the attribute library's own configuration, so a copying tool alone would lose it.
  tool("setfattr", "--name=user.Beagle.note", "--value=kept", path);
  tool("setfattr", "--name=user.odd=name\n", "--value=kept", path);
  return metadataOf(path);
}

function metadataOf(path: string): string {
  const record = tool("stat", "--format=%u %g %a", path);
  return `${record}${tool("getfattr", "--absolute-names", "--dump", "--match=-", "--encoding=hex", path)}`;
}

async function replaced(path: string, world: World = realWorld()): Promise<void> {
  const store = await storeAt(path, { world, expectedOwner: { uid: PLEX } });
  await store.proveWritable(NEW.length);
  await store.write(image(OLD), image(NEW));
  expect(contentOf(path)).toBe(NEW);
}

describe("what the system keeps beside the bytes", () => {
  const places: Record<string, (context: TestContext) => string> = {
    "the root file system": () => sandbox(),
    tmpfs: () => tmpfs("1m"),
    "ext4 on a disk of its own": () => ext4(),
    overlayfs: () => overlay(() => undefined),
  };

  it.for(Object.entries(places))("is all kept on %s", async ([, make], context) => {
    needs(context, ...TOOLS);
    const folder = make(context);
    const path = placeSettings(folder, PLEX);
    chmodSync(path, 0o640);
    const before = decorate(path);
    expect(before).toContain("posix_acl_access");
    await replaced(path);
    expect(metadataOf(path)).toBe(before);
    expect(strayEntries(folder, "lost+found")).toEqual([]);
  });

  it("is kept when the settings lie in a lower layer of overlayfs", async (context) => {
    needs(context, ...TOOLS);
    let before = "";
    const folder = overlay((lower) => {
      before = decorate(placeSettings(lower, PLEX)).replaceAll(lower, "");
    });
    const path = join(folder, "Preferences.xml");
    await replaced(path);
    expect(metadataOf(path).replaceAll(folder, "")).toBe(before);
  });

  it("is all kept with owner, group and mode set to others", async (context) => {
    needs(context, ...TOOLS);
    const path = placeSettings(sandbox(), PLEX);
    chmodSync(path, 0o640);
    const attributes = decorate(path)
      .split("\n")
      .filter((line) => !line.includes("posix_acl"));
    const store = await storeAt(path);
    await store.write(image(OLD), image(NEW), { uid: 77, gid: 88, mode: 0o600 });
    expect(statSync(path)).toMatchObject({ uid: 77, gid: 88, mode: 0o100600 });
    const kept = metadataOf(path)
      .split("\n")
      .filter((line) => !line.includes("posix_acl"));
    expect(kept.slice(1)).toEqual(attributes.slice(1));
    // The named entries stay; the mask, which is the group bits of the mode, rules them out as the mode says.
    const list = tool("getfacl", "--numeric", "--absolute-names", path);
    expect(list).toMatch(/user:2000:r--\s+#effective:---/);
  });

  it("is not added to: a list that the folder gives to new files is taken off again", async (context) => {
    needs(context, ...TOOLS);
    const folder = sandbox();
    const path = placeSettings(folder, PLEX);
    chmodSync(path, 0o640);
    tool("setfacl", "--default", "--modify", "user:2000:rw", folder);
    const before = metadataOf(path);
    await replaced(path);
    expect(metadataOf(path)).toBe(before);
  });

  it("never includes set-user-id, set-group-id or a capability", async (context) => {
    needs(context, ...TOOLS, "setcap");
    const path = placeSettings(sandbox(), PLEX);
    chmodSync(path, 0o6640);
    tool("setcap", "cap_net_raw+ep", path);
    await replaced(path);
    expect(statSync(path).mode & 0o7777).toBe(0o640);
    expect(metadataOf(path)).not.toContain("capability");
  });
});

describe("without the tools for attributes", () => {
  /** The same world with some programs missing or answering otherwise. */
  function withPrograms(programs: Record<string, "missing" | Partial<RunResult>>): World {
    const world = realWorld();
    return {
      ...world,
      run: async (file, args, options) => {
        const instead = programs[file];
        if (instead === "missing") throw new SystemError("ENOENT", "spawn", file);
        if (instead === undefined) return world.run(file, args, options);
        return { status: 0, signal: null, timedOut: false, stdout: "", stderr: "", ...instead };
      },
    };
  }

  it("GNU's cp is enough, and it is said once that nothing was compared", async (context) => {
    needs(context, ...TOOLS);
    const path = placeSettings(sandbox(), PLEX);
    decorate(path);
    tool("setfattr", "--remove=user.Beagle.note", path);
    const before = metadataOf(path);
    const notes: Note[] = [];
    const world = withPrograms({ getfattr: "missing", setfattr: "missing" });
    const store = await storeAt(path, { world, onNote: (note) => notes.push(note) });
    await store.proveWritable(9_000);
    await store.write(image(OLD), image(NEW));
    expect(metadataOf(path)).toBe(before);
    expect(notes).toEqual([{ code: "METADATA_UNCHECKED", path }]);
  });

  it.for([
    ["there is no cp", "missing"],
    ["cp is busybox's", { status: 1, stderr: "cp: unrecognized option '--attributes-only'" }],
    ["cp is another that says it copied", { stdout: "cp 0.0.17\n" }],
  ] as const)("nothing is changed when %s", async ([, cp], context) => {
    needs(context, ...TOOLS);
    const folder = sandbox();
    const path = placeSettings(folder, PLEX);
    const before = decorate(path);
    const store = await storeAt(path, { world: withPrograms({ getfattr: "missing", cp }) });
    const unknown = { code: "METADATA_NOT_KEPT", path, what: "unknown" };
    expect(await problemOf(store.proveWritable(9_000))).toEqual(unknown);
    expect(await problemOf(store.write(image(OLD), image(NEW)))).toEqual(unknown);
    expect(contentOf(path)).toBe(OLD);
    expect(metadataOf(path)).toBe(before);
    expect(strayEntries(folder)).toEqual([]);
  });

  it("setfattr does what a cp of another kind did not", async (context) => {
    needs(context, ...TOOLS);
    const path = placeSettings(sandbox(), PLEX);
    const before = decorate(path);
    await replaced(path, withPrograms({ cp: { stdout: "cp 0.0.17\n" } }));
    expect(metadataOf(path)).toBe(before);
  });

  it("a file that has no attributes needs none of them but the one that shows so", async (context) => {
    needs(context, ...TOOLS);
    const path = placeSettings(sandbox(), PLEX);
    await replaced(path, withPrograms({ cp: "missing", setfattr: "missing" }));
  });

  it("names what could not be kept, and changes nothing", async (context) => {
    needs(context, ...TOOLS);
    const folder = sandbox();
    const path = placeSettings(folder, PLEX);
    chownSync(path, PLEX, PLEX);
    tool("setfattr", "--name=user.note", "--value=kept", path);
    tool("setfattr", "--name=trusted.note", "--value=kept", path);
    const store = await storeAt(path, { world: withPrograms({ cp: "missing", setfattr: "missing" }) });
    expect(await problemOf(store.write(image(OLD), image(NEW)))).toEqual({
      code: "METADATA_NOT_KEPT",
      path,
      what: "trusted.note, user.note",
    });
    expect(contentOf(path)).toBe(OLD);
    expect(strayEntries(folder)).toEqual([]);
  });
});
