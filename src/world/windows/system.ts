import type { WindowsMachine, WindowsSelf, WindowsSystem } from "../windows-system.ts";
import { nativeAccounts } from "./accounts.ts";
import { nativeFolders } from "./folders.ts";
import { nativeMachine } from "./machine.ts";
import { nativeProcesses } from "./processes.ts";
import { nativeRegistry } from "./registry.ts";
import { nativeServices } from "./services.ts";
import { ownAccount } from "./token.ts";

/**
 * Windows as it is, by native calls; each library is loaded at its first use. Calls do not wait for each other and
 * return when Windows does: only starting and stopping a service may take seconds.
 */
export function windowsSystem(): WindowsSystem {
  let own: WindowsSelf | undefined;
  const self = () => {
    own ??= ownAccount();
    return own;
  };
  let machine: WindowsMachine | undefined;
  return {
    get self() {
      return self();
    },
    get machine() {
      machine ??= nativeMachine();
      return machine;
    },
    registry: nativeRegistry,
    accounts: nativeAccounts,
    processes: nativeProcesses(self, process.pid),
    services: nativeServices,
    folders: nativeFolders(self),
  };
}
