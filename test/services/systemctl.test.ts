import { describe, expect, it } from "vitest";
import { parseShow, splitWords } from "../../src/services/systemctl.ts";
import { timeSpanMs } from "../../src/services/time-span.ts";

// As systemd 252 printed it.
const SHOWN = String.raw`TimeoutStopUSec=1min 30s
ExecStart={ path=/bin/sh ; argv[]=/bin/sh -c echo hi;    exec "/usr/lib/plexmediaserver/Plex Media Server" ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
Environment="PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR=/srv/My Data/it's \$x \"q\" b\\s" PLAIN=one EMPTY= UNI=é "NL=a\nb"
EnvironmentFiles=/etc/default/plex media (ignore_errors=yes)
EnvironmentFiles=/etc/plex/*.env (ignore_errors=no)
Id=plexmediaserver.service
Job=

Id=plex.service
LoadState=not-found
`;

describe("what systemctl shows", () => {
  it("is told apart by unit, with every value of a property that comes twice", () => {
    const [first, second, ...others] = parseShow(SHOWN);
    expect(first?.one("Id")).toBe("plexmediaserver.service");
    expect(first?.all("EnvironmentFiles")).toEqual([
      "/etc/default/plex media (ignore_errors=yes)",
      "/etc/plex/*.env (ignore_errors=no)",
    ]);
    expect(first?.one("Job")).toBe("");
    expect(first?.one("NeverAsked")).toBe("");
    expect(second?.one("LoadState")).toBe("not-found");
    expect(others).toEqual([]);
  });

  it("stays one unit when a value has an empty line in it", () => {
    const units = parseShow(
      "Id=a.service\nExecStart={ path=/bin/sh ; argv[]=x\n\ny ; }\nUser=plex\n\nId=b.service\n",
    );
    expect(units.map((unit) => [unit.one("Id"), unit.one("User")])).toEqual([
      ["a.service", "plex"],
      ["b.service", ""],
    ]);
  });

  it("is nothing for nothing", () => {
    expect(parseShow("")).toEqual([]);
    expect(splitWords("")).toEqual([]);
  });

  it("has its quoted words back as they were", () => {
    expect(splitWords(parseShow(SHOWN)[0]?.one("Environment") ?? "")).toEqual([
      `PLEX_MEDIA_SERVER_APPLICATION_SUPPORT_DIR=/srv/My Data/it's $x "q" b\\s`,
      "PLAIN=one",
      "EMPTY=",
      "UNI=é",
      "NL=a\nb",
    ]);
  });

  it("may quote in the shell's other ways, too", () => {
    expect(splitWords(String.raw`$'A=b c\x41' 'D=e f' G=h\ i`)).toEqual(["A=b cA", "D=e f", "G=h i"]);
  });
});

describe("a time span", () => {
  it.each([
    ["1min 30s", 90_000],
    ["1h 2min 3.500000s", 3_723_500],
    ["999us", 0.999],
    ["1ms", 1],
    ["2d", 172_800_000],
    ["infinity", Number.POSITIVE_INFINITY],
    ["", null],
    ["soon", null],
  ])("%s", (text, milliseconds) => {
    expect(timeSpanMs(text)).toBe(milliseconds);
  });

  it("of a year and more is as long as systemd counts it", () => {
    expect(timeSpanMs("1y 1month 4d 7h 30min")).toBe(400 * 86_400_000);
  });
});
