import type { WindowsSelf, WindowsSystem } from "../windows-system.ts";
import { nativeAccounts } from "./accounts.ts";
import { nativeFolders } from "./folders.ts";
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
  return {
    get self() {
      return self();
    },
    registry: nativeRegistry,
    accounts: nativeAccounts,
    processes: nativeProcesses(self, process.pid),
    services: nativeServices,
    folders: nativeFolders(self),
  };
}
