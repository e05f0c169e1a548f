import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** Stands between the program and plex.tv, and holds the answer to a claim code back until it is told to let go. */
export interface SlowPlexTv {
  readonly url: string;
  /** Resolves once plex.tv has taken the code and its answer is held. */
  readonly holds: Promise<void>;
  letGo(): void;
  close(): void;
}

export async function slowPlexTv(plexTvUrl: string): Promise<SlowPlexTv> {
  let letGo: () => void = () => undefined;
  const released = new Promise<void>((fulfil) => {
    letGo = fulfil;
  });
  let held: () => void = () => undefined;
  const holds = new Promise<void>((fulfil) => {
    held = fulfil;
  });
  const server = createServer((request, response) => {
    void (async () => {
      const answer = await fetch(`${plexTvUrl}${request.url}`, {
        method: request.method ?? "GET",
        headers: plexHeaders(request),
      });
      const body = await answer.text();
      if (request.url?.startsWith("/api/claim/exchange")) {
        held();
        await released;
      }
      response
        .writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" })
        .end(body);
    })();
  });
  await new Promise<void>((fulfil) => {
    server.listen(0, "127.0.0.1", fulfil);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    holds,
    letGo,
    close() {
      letGo();
      server.close();
      server.closeAllConnections();
    },
  };
}

function plexHeaders(request: IncomingMessage): [string, string][] {
  const wanted = /^(?:x-plex-.*|accept)$/;
  return Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
    wanted.test(name) && typeof value === "string" ? [[name, value]] : [],
  );
}
