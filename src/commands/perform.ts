import type { Ending } from "./ending.ts";
import type { Invocation } from "./invocation.ts";
import type { Session } from "./session.ts";

/** What is carried out; help, version and completion are text alone and are answered before. */
export type Performable = Exclude<Invocation, { kind: "help" | "version" | "completion" }>;

/** Carries a command out. Each is loaded only when it is asked for. */
export async function perform(session: Session, invocation: Performable): Promise<Ending> {
  switch (invocation.kind) {
    case "status":
      return (await import("./status.ts")).status(session, invocation.options);
    case "reset":
    case "claim":
      return (await import("./reset.ts")).reset(session, invocation.kind, invocation.options);
    case "verify":
      return (await import("./verify.ts")).verifyServer(session, invocation.options);
    case "undo":
      return (await import("./undo.ts")).undo(session, invocation.run, invocation.options);
    case "demo":
      return (await import("./demo.ts")).demo(session, invocation);
    default:
      return performBackup(session, invocation);
  }
}

async function performBackup(
  session: Session,
  invocation: Extract<Performable, { kind: `backup ${string}` }>,
): Promise<Ending> {
  const backup = await import("./backup.ts");
  switch (invocation.kind) {
    case "backup list":
      return backup.backupList(session, invocation.options);
    case "backup create":
      return backup.backupCreate(session, invocation.options);
    case "backup show":
      return backup.backupShow(session, invocation.id, invocation.options);
    case "backup verify":
      return backup.backupVerify(session, invocation.id, invocation.options);
    case "backup restore":
      return backup.backupRestore(session, invocation.id, invocation.options);
    case "backup delete":
      return backup.backupDelete(session, invocation.id, invocation.options);
  }
}
