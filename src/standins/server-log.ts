import { appendFileSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";

type Level = "DEBUG" | "INFO" | "WARN" | "ERROR";

export const LOG_FILE = "Plex Media Server.log";

/**
 * The server's log: `Mon DD, YYYY HH:MM:SS.mmm [thread] LEVEL - message`, local time, `.log` to `.5.log`,
 * rotated at each start (public samples, TAUT log_reader).
 */
export class ServerLog {
  readonly #path: string;
  #clients = 0;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.#path = join(folder, LOG_FILE);
    for (let number = 5; number > 0; number -= 1) {
      const older = join(folder, `Plex Media Server.${number}.log`);
      const newer = number === 1 ? this.#path : join(folder, `Plex Media Server.${number - 1}.log`);
      if (existsSync(newer)) renameSync(newer, older);
    }
  }

  write(level: Level, message: string): void {
    const line = `${timestamp(new Date())} [${process.pid}] ${level} - ${message}\n`;
    appendFileSync(this.#path, line);
  }

  /** Version and build, the first line of each start (public sample). */
  header(version: string): void {
    const zone = `GMT ${offset(-new Date().getTimezoneOffset())}`;
    this.write("INFO", `Plex Media Server v${version} - stand-in - build: linux-x86_64 debian - ${zone}`);
  }

  /** What was answered to a request that the server itself made; the token masked (LS#420). */
  response(status: number, method: string, address: string): void {
    this.#clients += 1;
    const answered = `HTTP/1.1 (0.0s) ${status} response from ${method} ${address} (reused)`;
    this.write("DEBUG", `[HttpClient/HCl#${this.#clients}] ${answered}`);
  }

  /** A request without an answer; the number is libcurl's (public sample, LS#190). */
  noResponse(method: string, address: string): void {
    this.#clients += 1;
    const failed = `HTTP error requesting ${method} ${address} (7, Couldn't connect to server)`;
    this.write("WARN", `[HttpClient/HCl#${this.#clients}] ${failed} (Failed to connect to plex.tv port 443)`);
  }
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function timestamp(at: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${MONTHS[at.getMonth()]} ${two(at.getDate())}, ${at.getFullYear()}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${date} ${time}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

function offset(minutes: number): string {
  const size = Math.abs(minutes);
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  return `${minutes < 0 ? "-" : ""}${two(size / 60)}:${two(size % 60)}`;
}
