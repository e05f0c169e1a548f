// Runs in a Windows Node: lets a test outside call every method of the port (src/world/windows-system.ts) as it is
// built for Windows. Prints its address, with a path that nobody can guess.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { windowsSystem } from "../../dist/world/windows/system.js";

const system = await windowsSystem();
const secret = `/${randomBytes(16).toString("hex")}`;

const server = createServer((request, response) => {
  if (request.url !== secret) {
    response.writeHead(404).end();
    return;
  }
  answer(request).then(
    (text) => response.end(text),
    (error) => response.end(pack({ error: described(error) })),
  );
});
// The other side keeps its connections; one that ended by itself would lose a call.
server.keepAliveTimeout = 0;
server.requestTimeout = 0;
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`http://127.0.0.1:${server.address().port}${secret}\n`);
});

async function answer(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { group, name, args } = unpack(Buffer.concat(chunks).toString("utf8"));
  const owner = group === "" ? system : system[group];
  const member = owner?.[name];
  if (member === undefined) throw new Error(`the system has no ${group} ${name}`);
  // A property is answered as it is.
  const value = typeof member === "function" ? await member.apply(owner, args) : member;
  return pack({ value });
}

function described(error) {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack, code, call, path } = error;
  return name === "SystemError" ? { name, code, call, path } : { name, message, stack };
}

/** JSON in which bytes are `{"$bytes": base64}`. */
function pack(value) {
  return JSON.stringify(value, function replace(key, kept) {
    const raw = this[key];
    if (raw instanceof Uint8Array) return { $bytes: Buffer.from(raw).toString("base64") };
    if (typeof raw === "number" && !Number.isFinite(raw)) throw new Error(`${key} is ${raw}`);
    return kept;
  });
}

function unpack(text) {
  return JSON.parse(text, (_, value) =>
    typeof value?.$bytes === "string" ? new Uint8Array(Buffer.from(value.$bytes, "base64")) : value,
  );
}
