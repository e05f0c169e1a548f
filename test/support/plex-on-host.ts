import { expect } from "vitest";
import { installPackage, layDownSettings, PACKAGE_PARENT, type UnitOptions } from "./packaged-server.ts";
import { type Host, NODE_ON_HOST, PROJECT_ON_HOST, quoted } from "./systemd-root.ts";

const PLEXTV_URL = "http://127.0.0.1:8400";
export const PROGRAM = `${NODE_ON_HOST} ${PROJECT_ON_HOST}/bin/plex-reclaim.js`;
const DEVICE_ID = "0123456789".repeat(4);

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The last line of `--json`. */
  readonly result: Readonly<Record<string, unknown>>;
  /** The codes of the notes that were told. */
  readonly notes: readonly string[];
}

/**
 * A plex.tv and a Plex Media Server on a booted host: the server as the package's unit, under its own account,
 * on its own port.
 */
export class PlexOnHost {
  readonly #host: Host;

  constructor(host: Host) {
    this.#host = host;
  }

  async startPlexTv(): Promise<void> {
    const program = `${PROJECT_ON_HOST}/dist/standins/plex-tv.js`;
    await this.#host.succeed(
      `systemd-run --quiet --unit=plextv --setenv=STANDIN_PORT=8400 ${NODE_ON_HOST} ${program}
       for i in $(seq 200); do : </dev/tcp/127.0.0.1/8400 && exit 0; sleep 0.05; done 2>/dev/null; exit 1`.replaceAll(
        ": </dev/tcp/127.0.0.1/8400",
        `${NODE_ON_HOST} -e 'fetch("${PLEXTV_URL}/api/v2/ping").then(() => process.exit(0), () => process.exit(1))'`,
      ),
    );
    await this.control("addAccount", { username: "jane", email: "jane@example.com" });
  }

  /** One call of the stand-in's control interface. */
  async control(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const call = `fetch(process.argv[1], { method: "POST", body: process.argv[2] }).then((r) => r.text()).then((t) => process.stdout.write(t))`;
    const words = [NODE_ON_HOST, "-e", call, `${PLEXTV_URL}/_standin/${name}`, JSON.stringify(args)];
    const answer = JSON.parse(await this.#host.succeed(words.map(quoted).join(" "))) as { value?: unknown };
    return answer.value;
  }

  /** Installs the package with a signed-in server, starts it, and locks it out. Answers the path of its settings. */
  async lockedOut(
    options: {
      unit?: UnitOptions;
      parent?: string;
      behaviour?: Readonly<Record<string, unknown>>;
      before?: () => Promise<void>;
    } = {},
  ): Promise<string> {
    const { parent = PACKAGE_PARENT } = options;
    await installPackage(this.#host, options.unit);
    await options.before?.();
    const path = await layDownSettings(this.#host, parent);
    const token = await this.control("issueServerToken", { username: "jane", device: DEVICE_ID });
    const bare = await this.#host.read(path);
    const values = ` FriendlyName="a &quot;PlexOnlineToken=&quot; b" PlexOnlineToken="${String(token)}" PlexOnlineUsername="jane" PlexOnlineMail="jane@example.com" PubSubServerPing="1"`;
    await this.#host.write(path, bare.replace("/>", `${values}/>`), { owner: "plex:", mode: "600" });
    await this.behave(parent, options.behaviour ?? {});
    await this.#host.succeed("systemctl daemon-reload; systemctl start plexmediaserver");
    await this.answering();
    await this.control("revokeAll", { username: "jane" });
    return path;
  }

  /** What the server does from its next start on. */
  async behave(parent: string, behaviour: Readonly<Record<string, unknown>>): Promise<void> {
    const content = JSON.stringify({ plexTvUrl: PLEXTV_URL, ...behaviour });
    await this.#host.write(`${parent}/standin.json`, content, { owner: "plex:" });
    await this.#host.succeed(`rm -f ${quoted(`${parent}/standin-failed-starts`)}`);
  }

  async answering(): Promise<void> {
    await this.#host.succeed(
      `for i in $(seq 400); do ${NODE_ON_HOST} -e 'fetch("http://127.0.0.1:32400/identity").then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))' && exit 0; sleep 0.05; done; exit 1`,
    );
  }

  async claimCode(): Promise<string> {
    return String(await this.control("issueClaimCode", { username: "jane" }));
  }

  /** Runs the program with `--json`; a claim code goes in on standard input. */
  async run(args: string, options: { code?: string; user?: string } = {}): Promise<Ran> {
    const code = options.code === undefined ? "" : " --claim-code-file -";
    const answer = await this.#host.run(`${PROGRAM} ${args}${code} --json`, {
      env: { PLEX_RECLAIM_PLEXTV_URL: PLEXTV_URL },
      ...(options.code === undefined ? {} : { input: options.code }),
      ...(options.user === undefined ? {} : { user: options.user }),
    });
    const lines = answer.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const notes = lines.flatMap((line) =>
      line["type"] === "note" ? [(line["note"] as { code: string }).code] : [],
    );
    if (options.code !== undefined) expect(answer.stdout + answer.stderr).not.toContain(options.code);
    return { ...answer, result: lines.at(-1) ?? {}, notes };
  }

  async isActive(): Promise<boolean> {
    return (await this.#host.run("systemctl is-active --quiet plexmediaserver")).status === 0;
  }

  async mainPid(): Promise<string> {
    return (await this.#host.succeed("systemctl show -P MainPID plexmediaserver")).trim();
  }

  /** The token in the settings, or null. */
  async token(path: string): Promise<string | null> {
    return / PlexOnlineToken="([^"]*)"/.exec(await this.#host.read(path))?.[1] ?? null;
  }

  get env(): Readonly<Record<string, string>> {
    return { PLEX_RECLAIM_PLEXTV_URL: PLEXTV_URL };
  }
}
