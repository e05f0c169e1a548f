import { expect, test } from "vitest";
import type { PathContext } from "../../src/stages/context.ts";
import { portIsOurs } from "../../src/stages/settle.ts";
import { type HttpAnswer, HttpFailure, type World } from "../../src/world/world.ts";
import { worldAt } from "../state/state-of-test.ts";

const OURS = "0123456789abcdef0123456789abcdef01234567";
const ANOTHER = "f".repeat(40);

function answering(answer: HttpAnswer | null): PathContext {
  const http: World["http"] = {
    local: async () => {
      if (answer === null) throw new HttpFailure("no", "ECONNREFUSED");
      return answer;
    },
    remote: async () => expect.unreachable("this is no affair of the internet"),
  };
  return { world: { ...worldAt(), http }, emit: () => undefined, interrupt: new AbortController().signal };
}

function identityOf(machineIdentifier: string): HttpAnswer {
  const body = JSON.stringify({
    MediaContainer: { size: 0, claimed: true, machineIdentifier, version: "1.43" },
  });
  return { status: 200, headers: { "content-type": "application/json" }, body };
}

test.each<[string, HttpAnswer | null, string | null, boolean]>([
  ["nobody answers", null, OURS, true],
  ["this server answers", identityOf(OURS), OURS, true],
  ["another server answers", identityOf(ANOTHER), OURS, false],
  ["some server answers, and who this one is could not be read", identityOf(ANOTHER), null, true],
  ["a server is at maintenance, and says not who it is", { status: 503, headers: {}, body: "" }, OURS, true],
  ["something answers that is no Plex Media Server", { status: 404, headers: {}, body: "" }, OURS, true],
])("where %s, the port counts as ours or not", async (_, answer, machineIdentifier, ours) => {
  expect(await portIsOurs(answering(answer), "http://127.0.0.1:32400", machineIdentifier)).toBe(ours);
});
