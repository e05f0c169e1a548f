import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseEnvironmentFile } from "../../src/installs/environment-file.ts";
import { splitWords } from "../../src/services/systemctl.ts";
import { bootRoot, type Host, whyNoSystemd } from "../support/systemd-root.ts";

const reason = whyNoSystemd();

describe.skipIf(reason !== null)(
  `beside a real systemd${reason === null ? "" : ` (skipped: ${reason})`}`,
  () => {
    let host: Host;

    beforeAll(async () => {
      host = await bootRoot();
    });

    afterAll(async () => {
      await host?.stop();
    });

    it("an environment file is read as systemd reads it, whatever stands in it", async () => {
      const piece = fc.constantFrom(
        ...[
          "K1=",
          "K2=",
          "K3=",
          "a",
          "b c",
          " ",
          "\t",
          "'",
          '"',
          "\\",
          "\n",
          "\n",
          "\\\n",
          "#",
          ";",
          "$",
          "`",
          "=",
        ],
        ...["é", "\r", "\r\n", "export ", 'K1="', "K2='", '"\n', "'\n"],
      );
      const texts = fc
        .sample(fc.array(piece, { maxLength: 14 }), { numRuns: 200 })
        .map((parts) => parts.join(""));
      for (const [at, text] of texts.entries()) await host.write(`/run/env/${at}.env`, text);
      await host.succeed(`cd /run/env && for file in *.env; do
      systemd-run --quiet --wait --collect -p EnvironmentFile=/run/env/$file \\
        -p StandardOutput=file:/run/env/$file.out /usr/bin/env -0 & [ $((\${file%.env} % 20)) -ne 0 ] || wait
    done; wait`);
      const all = await host.succeed(
        "cd /run/env && for file in *.env; do printf '%s\\1' $file; cat $file.out; printf '\\2'; done",
      );
      const seen = new Map(
        all.split("\x02").map((entry) => {
          const [file = "", variables = ""] = entry.split("\x01");
          return [file, Object.fromEntries(assignments(variables))] as const;
        }),
      );
      const ours = texts.map((text) => ({ text, read: only(parseEnvironmentFile(text)) }));
      expect(ours).toEqual(texts.map((text, at) => ({ text, read: seen.get(`${at}.env`) })));
    });

    it("a list of variables is read back as it was set, however systemctl quotes it", async () => {
      const values = fc.sample(fc.string({ unit: fc.constantFrom(...UNITS), maxLength: 8 }), {
        numRuns: 400,
      });
      const lines = values.map((value, at) => `Environment="K${at}=${escaped(value)}"`);
      await host.write(
        "/etc/systemd/system/words.service",
        `[Service]\nExecStart=/bin/true\n${lines.join("\n")}\n`,
      );
      await host.succeed("systemctl daemon-reload");
      const shown = await host.succeed("systemctl show --value -p Environment words.service");
      expect(splitWords(shown)).toEqual(values.map((value, at) => `K${at}=${value}`));
    });
  },
);

const UNITS = [..."ab =\"'\\$`%*?~!#;&|<>(){}[]^,/-", "\t", "\n", "é", "\u{1F4A5}"];

function escaped(value: string): string {
  const bytes = [...new TextEncoder().encode(value)];
  return bytes.map((byte) => (byte === 0x25 ? "%%" : `\\x${byte.toString(16).padStart(2, "0")}`)).join("");
}

function assignments(text: string): [string, string][] {
  const pairs = text.split("\0").map((entry): [string, string] => {
    const equals = entry.indexOf("=");
    return [entry.slice(0, equals), entry.slice(equals + 1)];
  });
  return pairs.filter(([name]) => /^K\d$/u.test(name));
}

function only(read: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...read].filter(([name]) => /^K\d$/u.test(name)));
}
