import { rename, rm } from "node:fs/promises";
import { expect, test } from "vitest";
import type { Note } from "../../src/model/event.ts";
import { type Problem, ProblemError } from "../../src/model/problem.ts";
import type { Server } from "../../src/model/server.ts";
import { macApplication } from "../../src/services/mac-application.ts";
import type { Service } from "../../src/services/service.ts";
import { serviceOf } from "../../src/services/service-of.ts";
import { until } from "../../src/standins/server-process.ts";
import type { Mac } from "../support/mac.ts";
import { APPLICATION } from "../support/mac-application.ts";
import { type BenchWorld, macWithServer, onlyServer, worldOn } from "../support/mac-bench.ts";
import type { MacServer } from "../support/mac-server.ts";
import type { MacSwitches } from "../support/mac-switches.ts";

const TWO = [{ name: "jane" }, { name: "bob" }];
const STOP_LINE = `osascript -e 'tell application id "com.plexapp.plexmediaserver" to quit'`;
const START_LINE = "open -g '/Applications/Plex Media Server.app'";
/** The server's account on its desktop, and root from a session over the network. */
const PLACES = [
  ["jane", "desktop"],
  ["root", "ssh"],
] as const;

const JANES: Server = {
  id: "00000000",
  install: "mac-application",
  store: "defaults",
  settingsPath: "/Users/jane/Library/Preferences/com.plexapp.plexmediaserver.plist",
  dataFolder: "/Users/jane/Library/Application Support/Plex Media Server",
  account: { name: "jane", uid: 501, gid: 20 },
  service: { kind: "mac-application", application: APPLICATION.path },
  url: "http://127.0.0.1:32400",
};

async function serviceFor(world: BenchWorld): Promise<Service> {
  return serviceOf(world, await onlyServer(world));
}

async function problemOf(work: Promise<unknown>): Promise<Problem> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    throw error;
  }
  return expect.unreachable("no problem");
}

async function gone(server: MacServer): Promise<void> {
  await until(async () => !(await server.isRunning()), 30_000, "STILL_RUNNING");
}

async function scriptsOf(mac: Mac): Promise<string[]> {
  return (await callsOf(mac)).filter((call) => call.startsWith("osascript"));
}

/** What was called since, as words. */
async function callsOf(mac: Mac): Promise<string[]> {
  return (await mac.calledWith()).map(({ tool, args }) => [tool, ...args].join(" "));
}

const OPEN = { eventsFromOutside: "reach", eventsOfRoot: "reach", openFromOutside: "works" } as const;
const RUSSIAN = { language: "ru", noDesktop: 125, psWidth: "unlimited", openByRoot: "as-user" } as const;
const SWITCHES: readonly (readonly [string, Partial<MacSwitches>])[] = [
  ["as it is taken to be", {}],
  [
    "quit returns at once, events go everywhere",
    { quit: "returns-at-once", quitOfNothing: "nothing", ...OPEN },
  ],
  ["quit breaks, all is said in Russian", { quit: "connection-breaks", quitOfNothing: "fails", ...RUSSIAN }],
];

test.each(
  SWITCHES.flatMap(([what, switches]) => PLACES.map(([user, from]) => ({ what, switches, user, from }))),
)("it is stopped and started as its person, by $user ($what)", async ({ switches, user, from }) => {
  const { mac, server } = await macWithServer({ switches, users: TWO });
  await server.start();
  const [before] = await server.processes();
  const service = await serviceFor(worldOn(mac, user, from));
  await service.demandControl(server.plist);
  expect(await server.processes()).toEqual([before]);
  await service.requestStop();
  await gone(server);
  await service.start({ resetLimit: false });
  const [after, ...others] = await server.processes();
  expect(after).toBeDefined();
  expect(after).not.toBe(before);
  expect(others).toEqual([]);
  await until(() => server.answers(), 30_000, "NO_ANSWER");
});

test("asking one to stop that does not run starts nothing", async () => {
  for (const quitOfNothing of ["starts-it", "fails"] as const) {
    const { mac, server } = await macWithServer({ switches: { quitOfNothing } });
    await (await serviceFor(worldOn(mac, "jane"))).requestStop();
    expect(await server.isRunning()).toBe(false);
    expect((await callsOf(mac)).some((call) => call.startsWith("osascript"))).toBe(false);
  }
});

test("its lines are for the shell in which they will be typed", async () => {
  const { mac } = await macWithServer();
  const linesOf = async (...from: Parameters<typeof worldOn> extends [Mac, ...infer Rest] ? Rest : never) => {
    const { stopLine, startLine } = await serviceFor(worldOn(mac, ...from));
    return [stopLine, startLine];
  };
  expect(await linesOf("jane")).toEqual([STOP_LINE, START_LINE]);
  expect(await linesOf("root", "desktop", { SUDO_UID: "501" })).toEqual([STOP_LINE, START_LINE]);
  const before = "sudo launchctl asuser 501 sudo -u jane";
  for (const env of [{}, { SUDO_UID: "502" }])
    expect(await linesOf("root", "desktop", env)).toEqual([
      `${before} ${STOP_LINE}`,
      `${before} ${START_LINE}`,
    ]);
});

test("it has no manager, and a deadline of its own", async () => {
  const { mac } = await macWithServer();
  const service = await serviceFor(worldOn(mac, "jane"));
  expect(await service.stopDeadlineMs()).toBe(60_000);
  expect(await service.condition()).toBe("unknown");
  expect(await service.killedByForce()).toBe(false);
});

test("somebody else's server takes root", async () => {
  const { mac, server } = await macWithServer({ users: TWO });
  await server.start("process");
  const found = await onlyServer(worldOn(mac, "jane"));
  const service = serviceOf(worldOn(mac, "bob"), found);
  const needed = { code: "NEEDS_PRIVILEGE", path: server.plist, line: "" };
  expect(await problemOf(service.demandControl(server.plist))).toEqual(needed);
  expect(await problemOf(service.start({ resetLimit: false }))).toMatchObject({ code: "START_FAILED" });
});

test("one's own takes a session of its desktop, or root, whatever gets through from another one", async () => {
  for (const way of ["reach", "fail"] as const) {
    const { mac, server } = await macWithServer({ switches: { eventsFromOutside: way } });
    await server.start("process");
    const service = await serviceFor(worldOn(mac, "jane", "ssh"));
    expect(await problemOf(service.demandControl(server.plist))).toEqual({
      code: "DESKTOP_OUT_OF_REACH",
      account: "jane",
      line: "",
    });
    expect(await server.isRunning()).toBe(true);
  }
});

test.each([112, 125] as const)(
  "where its person has no desktop (%i) it is not stopped",
  async (noDesktop) => {
    const { mac, server } = await macWithServer({ users: TWO, switches: { noDesktop } });
    await server.start("process");
    const service = await serviceFor(worldOn(mac, "root", "ssh", { SUDO_UID: "501" }));
    await mac.setDesktops(["bob"]);
    expect(await problemOf(service.demandControl(server.plist))).toEqual({
      code: "NO_DESKTOP_TO_START_ON",
      account: "jane",
      line: START_LINE,
    });
    expect(await server.isRunning()).toBe(true);
  },
);

test("one that events do not reach is not stopped", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const [pid] = await server.processes();
  const world = worldOn(mac, "jane");
  const unreached: typeof world.run = async (file, args, options) => {
    const asked = args.join(" ").endsWith("is running");
    return asked ? await mac.run("jane", "osascript", args, { from: "ssh" }) : world.run(file, args, options);
  };
  const service = await serviceFor({ ...world, run: unreached });
  expect(await problemOf(service.demandControl(server.plist))).toEqual({
    code: "OTHER_SESSION",
    pid,
    account: "jane",
  });
});

test("one that launchd keeps alive is not stopped: the agent is named, and how to unload it", async () => {
  const { mac, server } = await macWithServer({}, { startedBy: "keep-alive-agent" });
  await server.start("process");
  const service = await serviceFor(worldOn(mac, "jane"));
  const problem = await problemOf(service.demandControl(server.plist));
  const label = "com.example.start-plex";
  expect(problem).toEqual({
    code: "KEPT_ALIVE_BY_AGENT",
    label,
    line: `launchctl bootout gui/501/${label}`,
    backLine: `launchctl bootstrap gui/501 ${server.agent}`,
  });
  expect((await mac.run("jane", "launchctl", ["bootout", `gui/501/${label}`])).status).toBe(0);
  await gone(server);
  await mac.run("jane", "open", ["-g", APPLICATION.path]);
  await service.demandControl(server.plist);
});

test("an application that is not there any more could not be started again", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const service = await serviceFor(worldOn(mac, "jane"));
  await rm(mac.real(APPLICATION.path), { recursive: true });
  expect(await problemOf(service.demandControl(server.plist))).toEqual({
    code: "NO_WAY_TO_STOP",
    reason: "no-start-command",
  });
  // Whoever names it now may be asked in a dialog where it is.
  expect(await scriptsOf(mac)).toEqual([]);
});

test("nothing is asked of a server that does not run: it is only to be started", async () => {
  for (const [user, from] of PLACES) {
    const { mac, server } = await macWithServer({ switches: { consent: "denied" } });
    await (await serviceFor(worldOn(mac, user, from))).demandControl(server.plist);
    expect(await scriptsOf(mac)).toEqual([]);
    expect(await server.isRunning()).toBe(false);
  }
});

test("one that ends while it is looked at, or before it is asked to quit, is not started again", async () => {
  for (const ask of ["demandControl", "requestStop"] as const) {
    const { mac, server } = await macWithServer({ switches: { consent: "denied" } });
    await server.start("process");
    const world = worldOn(mac, "jane");
    const run: typeof world.run = async (file, args, options) => {
      if (file === "/usr/bin/osascript") await server.close();
      return world.run(file, args, options);
    };
    const service = await serviceFor({ ...world, run });
    await service[ask](server.plist);
    expect(await scriptsOf(mac), ask).toHaveLength(1);
    expect(await server.isRunning(), ask).toBe(false);
  }
});

test.each(["en", "ru"] as const)("a consent that was denied is said as such (%s)", async (language) => {
  const { mac, server } = await macWithServer({ switches: { consent: "denied", language } });
  await server.start("process");
  for (const [user, from] of PLACES) {
    const service = await serviceFor(worldOn(mac, user, from));
    const refused = { code: "AUTOMATION_REFUSED", application: "Plex Media Server" };
    expect(await problemOf(service.demandControl(server.plist))).toEqual(refused);
    expect(await problemOf(service.requestStop())).toEqual(refused);
  }
  expect(await server.isRunning()).toBe(true);
});

test("a consent that nobody gives or refuses in time is one that was refused", async () => {
  const { mac, server } = await macWithServer({ switches: { consent: "asked" } });
  await server.start("process");
  for (const [user, from] of PLACES) {
    const world = worldOn(mac, user, from);
    const deadlines: number[] = [];
    const run: typeof world.run = async (file, args, options) => {
      if (!args.join(" ").includes("osascript") && file !== "/usr/bin/osascript")
        return world.run(file, args, options);
      deadlines.push(options.timeoutMs);
      return world.run(file, args, { ...options, timeoutMs: 1_000 });
    };
    const service = await serviceFor({ ...world, run });
    for (const ask of ["demandControl", "requestStop"] as const)
      expect(await problemOf(service[ask](server.plist))).toMatchObject({ code: "AUTOMATION_REFUSED" });
    expect(deadlines).toEqual([60_000, 30_000]);
  }
  expect(await server.isRunning()).toBe(true);
});

test("a consent that is given while it is waited for is one", async () => {
  const { mac, server } = await macWithServer({ switches: { consent: "asked" } });
  await server.start("process");
  const asked = (await serviceFor(worldOn(mac, "jane"))).demandControl(server.plist);
  await until(async () => (await scriptsOf(mac)).length > 0, 30_000, "NOT_ASKED");
  await mac.setSwitches({ consent: "granted" });
  await asked;
});

/** Somebody who stays, and writes down what is told; `leave` is a Ctrl-C. */
function somebody() {
  const controller = new AbortController();
  const told: Note[] = [];
  const company = { interrupt: controller.signal, tell: (what: Note) => void told.push(what) };
  return { company, told, leave: () => controller.abort("SIGTERM") };
}

test.each(PLACES)(
  "who waits for the answer is told before that a question may come, and may leave (%s, %s)",
  async (user, from) => {
    const { mac, server } = await macWithServer({ switches: { consent: "asked" } });
    await server.start("process");
    const { company, told, leave } = somebody();
    const service = await serviceFor(worldOn(mac, user, from));
    const refused = problemOf(service.demandControl(server.plist, company));
    await until(async () => (await scriptsOf(mac)).length > 0, 30_000, "NOT_ASKED");
    expect(told).toEqual([{ code: "CONSENT_MAY_BE_ASKED", application: "Plex Media Server" }]);
    leave();
    expect(await refused).toEqual({ code: "INTERRUPTED", signal: "SIGTERM" });
    expect(await scriptsOf(mac)).toHaveLength(1);
    expect(await server.isRunning()).toBe(true);
    // Gone already: nothing is asked any more.
    expect(await problemOf(service.demandControl(server.plist, company))).toMatchObject({
      code: "INTERRUPTED",
    });
    expect(await scriptsOf(mac)).toHaveLength(1);
    expect(told).toHaveLength(1);
  },
);

test("nobody is told of a question where none can come: nothing runs", async () => {
  const { mac, server } = await macWithServer();
  const { company, told } = somebody();
  await (await serviceFor(worldOn(mac, "jane"))).demandControl(server.plist, company);
  expect(told).toEqual([]);
});

test.each([
  ["fails", "EXIT_1"],
  ["hangs", "ETIMEDOUT"],
] as const)("a ps that %s is no want of privilege", async (kind, reason) => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  for (const [user, from] of PLACES) {
    const service = await serviceFor(worldOn(mac, user, from));
    mac.fault({ at: 1, tool: "ps", kind });
    expect(await problemOf(service.demandControl(server.plist))).toEqual({
      code: "SYSTEM_CALL_FAILED",
      what: "ps",
      path: "/bin/ps",
      reason,
    });
  }
});

/** The world of jane, in which what is told to the server is answered so. */
async function answering(error: string, only = "count every window") {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const world = worldOn(mac, "jane");
  const stderr = `0:47: execution error: Не вышло. (${error})\n`;
  const run: typeof world.run = async (file, args, options) =>
    args.join(" ").includes(only)
      ? { status: 1, timedOut: false, stderr, signal: null, stdout: "" }
      : world.run(file, args, options);
  return { mac, server, service: await serviceFor({ ...world, run }) };
}

test.each([
  ["-1743", { code: "AUTOMATION_REFUSED" }],
  ["-1744", { code: "AUTOMATION_REFUSED" }],
  ["-10004", { code: "STOP_FAILED", command: STOP_LINE, detail: "-10004" }],
  ["-10810", { code: "STOP_FAILED", detail: "-10810" }],
])("where no event may be sent (%s) nothing is begun", async (number, problem) => {
  const { server, service } = await answering(number);
  expect(await problemOf(service.demandControl(server.plist))).toMatchObject(problem);
});

test.each(["-2704", "-2741"])(
  "a question that is not understood (%s) is asked in plainer words",
  async (number) => {
    const { mac, server, service } = await answering(number);
    await service.demandControl(server.plist);
    expect(await scriptsOf(mac)).toEqual([
      'osascript -e application id "com.plexapp.plexmediaserver" is running',
    ]);
    expect(await server.isRunning()).toBe(true);
  },
);

test.each(["-600", "-609"])(
  "one that is on its way out when it is asked (%s) is waited for",
  async (number) => {
    const { server, service } = await answering(number, "to quit");
    await service.requestStop();
    expect(await server.isRunning()).toBe(true);
  },
);

test("a server that refuses to quit keeps its number", async () => {
  const { mac, server } = await macWithServer({}, { application: { quits: "refuses" } });
  await server.start("process");
  expect(await problemOf((await serviceFor(worldOn(mac, "jane"))).requestStop())).toEqual({
    code: "STOP_FAILED",
    command: STOP_LINE,
    detail: "-128",
  });
});

test("one that takes the request and stays is not waited for here", async () => {
  const { mac, server } = await macWithServer({}, { application: { quits: "ignores" } });
  await server.start("process");
  await (await serviceFor(worldOn(mac, "jane"))).requestStop();
  expect(await server.isRunning()).toBe(true);
});

test.each([
  ["fails", "STOP_FAILED"],
  ["hangs", "AUTOMATION_REFUSED"],
] as const)("an osascript that %s is %s", async (kind, code) => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const service = await serviceFor(worldOn(mac, "jane"));
  mac.fault({ at: 1, tool: "osascript", kind });
  expect(await problemOf(service.requestStop())).toMatchObject({ code });
  mac.fault({ at: 1, tool: "osascript", kind: "fails" });
  expect(await problemOf(service.demandControl(server.plist))).toMatchObject({
    code: "STOP_FAILED",
    detail: "status=1",
  });
});

test("a stop that worked and says it did not has worked", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const world = worldOn(mac, "jane");
  const run: typeof world.run = async (file, args, options) => {
    const result = await world.run(file, args, options);
    if (!args.join(" ").includes("to quit")) return result;
    await gone(server);
    return { ...result, status: 1, stderr: "failed after all\n" };
  };
  await (await serviceFor({ ...world, run })).requestStop();
});

test.each(["refused", "ok-but-nothing"] as const)(
  "a launch while the one before is still quitting (%s) is tried again",
  async (openWhileQuitting) => {
    const { mac, server } = await macWithServer(
      { switches: { openWhileQuitting } },
      { behaviour: { stopMs: 2_000 } },
    );
    await server.start();
    const [before] = await server.processes();
    const service = await serviceFor(worldOn(mac, "jane"));
    await service.requestStop();
    await service.start({ resetLimit: false });
    const after = await server.processes();
    expect(after).toHaveLength(1);
    expect(after).not.toContain(before);
  },
);

/** As `open` puts it since macOS 11. */
function opened(error: string): string {
  return `The application /Applications/Plex Media Server.app cannot be opened for an unexpected reason, error=${error}\n`;
}
const NOT_FOUND = `NSOSStatusErrorDomain Code=-600 "procNotFound: no eligible process with specified descriptor" UserInfo={_LSLine=388, _LSFunction=_LSAnnotateAndSendAppleEventWithOptions}`;
const SPAWN = `RBSRequestErrorDomain Code=5 "Launch failed." UserInfo={NSLocalizedFailureReason=Launch failed., NSUnderlyingError=0x7fd11d008e40 {Error Domain=NSPOSIXErrorDomain Code=153 "Unknown error: 153" UserInfo={NSLocalizedDescription=Launchd job spawn failed}}}`;
const NOT_ALLOWED = `NSOSStatusErrorDomain Code=-10826 "kLSNoLaunchPermissionErr: User doesn't have permission" UserInfo={_LSLine=2508, NSUnderlyingError=0x7fd11d0072f0 {Error Domain=${SPAWN}}}`;

test.each([
  ["_LSOpenURLsWithCompletionHandler() failed 12 with error -600.\n", "-600"],
  [opened(`Error Domain=${NOT_FOUND}`), "-600"],
  [
    opened(`Error Domain=${NOT_FOUND.replace("}", `, NSUnderlyingError=0x1 {Error Domain=${SPAWN}}}`)}`),
    "-600",
  ],
  [opened(`Error Domain=${SPAWN}`), "RBSRequestErrorDomain=5 NSPOSIXErrorDomain=153"],
  [opened(`Error Domain=${NOT_ALLOWED}`), "-10826 RBSRequestErrorDomain=5 NSPOSIXErrorDomain=153"],
  ["Программа повреждена.\n", "status=1"],
])("a launch that is refused for ever (%j) is given up, and its number is told", async (stderr, detail) => {
  const { mac, server } = await macWithServer();
  const world = worldOn(mac, "jane");
  let launches = 0;
  const run: typeof world.run = async (file, args, options) => {
    if (file !== "/usr/bin/env") return world.run(file, args, options);
    launches += 1;
    return { status: 1, signal: null, timedOut: false, stdout: "", stderr };
  };
  const clock = { ...world.clock, sleep: async () => undefined };
  const service = await serviceFor({ ...world, run, clock });
  expect(await problemOf(service.start({ resetLimit: false }))).toEqual({
    code: "START_FAILED",
    command: START_LINE,
    detail,
  });
  expect(launches).toBe(20);
  expect(await server.isRunning()).toBe(false);
});

test("refusals that take their time are not waited for longer than some ten seconds", async () => {
  const { mac } = await macWithServer();
  const world = worldOn(mac, "jane");
  const numbers = ["-600", "-10810", "-10827", "-10822"];
  let [launches, nowMs] = [0, 0];
  const run: typeof world.run = async (file, args, options) => {
    if (file !== "/usr/bin/env") return world.run(file, args, options);
    nowMs += 4_000;
    launches += 1;
    const stderr = `failed with error ${numbers[launches - 1]}.\n`;
    return { status: 1, signal: null, timedOut: false, stdout: "", stderr };
  };
  const clock = {
    ...world.clock,
    monotonicMs: () => nowMs,
    sleep: async (ms: number) => {
      nowMs += ms;
    },
  };
  const service = await serviceFor({ ...world, run, clock });
  const last = { code: "START_FAILED", command: START_LINE, detail: "-10827" };
  expect(await problemOf(service.start({ resetLimit: false }))).toEqual(last);
  expect(launches).toBe(3);
});

test.each(["number", "error-domains"] as const)(
  "a bundle that an update is just replacing is launched when it is there (%s)",
  async (openErrors) => {
    const { mac, server } = await macWithServer({ switches: { openErrors } });
    const world = worldOn(mac, "jane");
    const service = await serviceFor(world);
    const away = mac.real(`${APPLICATION.executable}.new`);
    await rename(mac.real(APPLICATION.executable), away);
    const started = service.start({ resetLimit: false });
    const wasTried = async () => (await callsOf(mac)).filter((call) => call.startsWith("open ")).length > 1;
    await until(wasTried, 30_000, "NOT_TRIED_AGAIN");
    await rename(away, mac.real(APPLICATION.executable));
    await started;
    expect(await server.processes()).toHaveLength(1);
  },
);

test.each(PLACES)(
  "launched by %s from the %s it has the environment of its person alone",
  async (user, from) => {
    const { mac, server } = await macWithServer();
    await (await serviceFor(worldOn(mac, user, from, { SUDO_UID: "501" }))).start({ resetLimit: false });
    expect(await server.environment()).toEqual({
      HOME: "/Users/jane",
      USER: "jane",
      LOGNAME: "jane",
      // launchd's own for every application.
      SHELL: "/bin/zsh",
      PATH: "/usr/bin:/bin:/usr/sbin:/sbin",
      TMPDIR: "/var/folders/zz/501/T/",
    });
  },
);

test("root acts as the account by its number, to launchd and to sudo", async () => {
  const { mac, server } = await macWithServer();
  await server.start("process");
  const service = await serviceFor(worldOn(mac, "root", "ssh"));
  await service.demandControl(server.plist);
  await service.requestStop();
  await gone(server);
  await service.start({ resetLimit: false });
  const calls = (await mac.calledWith()).filter(({ tool }) => tool === "sudo");
  expect(calls.length).toBeGreaterThan(3);
  for (const { args } of calls) expect(args.slice(0, 3)).toEqual(["-u", "#501", "-H"]);
  expect(await server.isRunning()).toBe(true);
});

test.each([
  ["ok", 3],
  ["fails", 20],
] as const)(
  "an application that dies at once (%s) is launched a few times at most",
  async (openOfDying, most) => {
    const { mac } = await macWithServer(
      { switches: { openOfDying } },
      { application: { diesAtStart: "at-once" } },
    );
    const world = worldOn(mac, "jane");
    const clock = { ...world.clock, sleep: async () => undefined };
    const service = await serviceFor({ ...world, clock });
    const started = service.start({ resetLimit: false });
    if (openOfDying === "ok") await started;
    else expect(await problemOf(started)).toMatchObject({ code: "START_FAILED", detail: "-10810" });
    expect((await callsOf(mac)).filter((call) => call.startsWith("open "))).toHaveLength(most);
  },
);

test("one that runs already is not waited for for ever", async () => {
  let launches = 0;
  const row = `  501     1   501 S    Sat Nov 22 06:42:00 2025     ${APPLICATION.executable}`;
  const stdout = `    1     0     0 S    Sat Nov 22 06:00:00 2025     /sbin/launchd\n${row}\n`;
  const world = {
    env: {},
    user: { uid: 501, gid: 20, name: "jane", home: "/Users/jane" },
    clock: { now: () => 0, monotonicMs: () => 0, sleep: async () => undefined },
    run: async (file: string) => {
      if (file === "/usr/bin/env") launches += 1;
      return { status: 0, signal: null, timedOut: false, stdout, stderr: "" };
    },
  };
  await macApplication(world, JANES, APPLICATION.path).start({ resetLimit: false });
  expect(launches).toBe(20);
});

test("no process is ever ended by force", async () => {
  const { mac, server } = await macWithServer();
  await server.start();
  const service = await serviceFor(worldOn(mac, "root"));
  await service.demandControl(server.plist);
  await service.requestStop();
  await gone(server);
  expect((await callsOf(mac)).filter((call) => /\bkill|bootout|kickstart/.test(call))).toEqual([]);
});

test("without an account there is no way", async () => {
  const { mac } = await macWithServer();
  const { account: _account, ...nobodys } = JANES;
  const service = macApplication(worldOn(mac, "jane"), nobodys, APPLICATION.path);
  expect(await problemOf(service.demandControl(JANES.settingsPath))).toMatchObject({
    code: "NO_WAY_TO_STOP",
  });
});
