import { readTarget } from "../stages/2-preflight.ts";
import { verify } from "../stages/10-verify.ts";
import { step } from "../stages/context.ts";
import { type Ending, ending } from "./ending.ts";
import type { TargetOptions } from "./invocation.ts";
import { locateOne, withTarget } from "./locate.ts";
import { plexTvOf, type Session } from "./session.ts";

/** The three acceptance criteria of one server, each with what was seen. Met only when all three are. */
export async function verifyServer(session: Session, options: TargetOptions): Promise<Ending> {
  const { context, world } = session;
  const server = await locateOne(session, options);
  return withTarget(session, server, { readOnly: true }, async (target) => {
    const found = await readTarget(context, target);
    const criteria = await step(context, "verify", () =>
      verify(
        { world, plexTv: plexTvOf(session, options), signal: context.interrupt },
        { server, settings: found.settings, running: found.running, patienceMs: 0 },
      ),
    );
    const data = { server: server.id, criteria };
    if (criteria.every((criterion) => criterion.result === "met")) return ending("OK", data);
    return { problem: { code: "CRITERIA_NOT_MET" }, aftermath: { kind: "nothing-changed" }, data };
  });
}
