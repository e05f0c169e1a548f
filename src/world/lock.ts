import { createServer, type Server } from "node:net";
import { narrowed } from "./attempt.ts";
import { SystemError, type World } from "./world.ts";

/**
 * A lock by name, held by a listening socket without a file (Linux's abstract names, unix(7)): it does not
 * depend on a state directory or an account, and the kernel frees it when the process ends, however it ends.
 * It holds within one network namespace: a container with a network of its own has locks of its own.
 */
export const lock: World["lock"] = async (name) => {
  const address = `\0plex-reclaim/${name}`;
  // Cut to fit, two names could become one.
  if (Buffer.byteLength(address) > NAME_BYTES) throw new SystemError("ENAMETOOLONG", "bind", name);
  return heldBy(address, name);
};

/** sockaddr_un has 108 bytes for the name and its leading NUL byte. */
const NAME_BYTES = 108;

async function heldBy(address: string, name: string): Promise<{ release(): Promise<void> } | null> {
  // Who connects has no business here.
  const server = createServer((connection) => connection.on("error", ignore).destroy());
  try {
    await listening(server, address);
  } catch (error) {
    const refusal = narrowed(error, "bind", name);
    if (refusal.code === "EADDRINUSE") return null;
    throw refusal;
  }
  server.on("error", ignore);
  server.unref();
  return { release: () => closed(server) };
}

function listening(server: Server, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path: address, exclusive: true }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function ignore(): void {
  // A refused connection changes nothing about the lock.
}
