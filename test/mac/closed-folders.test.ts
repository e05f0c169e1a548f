import { expect, test } from "vitest";
import { onMac } from "../support/mac-stage.ts";

/** What macOS 14 and later may close: what an application keeps for itself. */
const CLOSED = ["/Users/jane/Library/Application Support/Plex Media Server", "/Users/jane/Library/Logs"];

test("data and logs that privacy protection closes keep nobody from seeing and healing the server", async () => {
  await onMac({ server: { home: true } }, async (stage) => {
    await stage.mac.setSwitches({ closed: CLOSED });
    const status = await stage.call(["status"], { exitCode: 0, code: "OK" });
    expect(status.result["servers"]).toMatchObject([{ state: "locked-out", running: true }]);
    const code = await stage.codeFile();
    const ended = await stage.call(["reset", "--yes", "--claim-code-file", code], {
      exitCode: 0,
      code: "OK",
    });
    const criteria = ended.result["criteria"] as { name: string; result: string }[];
    expect(criteria.map(({ name, result }) => `${name} ${result}`)).toEqual([
      "reachable met",
      "account met",
      "logs cannot-tell",
    ]);
    expect(await stage.isHealed()).toBe(true);
  });
});
