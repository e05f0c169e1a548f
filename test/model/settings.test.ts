import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Secret } from "../../src/model/secret.ts";
import {
  CREDENTIAL_NAMES,
  type Credentials,
  differingNames,
  hasToken,
  IDENTITY_NAMES,
  presentCredentials,
  type Settings,
} from "../../src/model/settings.ts";

const SETTINGS: Settings = {
  credentials: { token: new Secret("token"), username: "jane", mail: "jane@example.com", home: "1" },
  identity: {
    machineIdentifier: "machine",
    processedMachineIdentifier: "device",
    anonymousMachineIdentifier: "anonymous",
    certificateUUID: "certificate",
  },
  friendlyName: "den",
};

const FIELDS = {
  PlexOnlineToken: ["credentials", "token"],
  PlexOnlineUsername: ["credentials", "username"],
  PlexOnlineMail: ["credentials", "mail"],
  PlexOnlineHome: ["credentials", "home"],
  MachineIdentifier: ["identity", "machineIdentifier"],
  ProcessedMachineIdentifier: ["identity", "processedMachineIdentifier"],
  AnonymousMachineIdentifier: ["identity", "anonymousMachineIdentifier"],
  CertificateUUID: ["identity", "certificateUUID"],
} as const;
type Name = keyof typeof FIELDS;
const NAMES = [...CREDENTIAL_NAMES, ...IDENTITY_NAMES];

/** The settings with one value changed, or without it. */
function changed(settings: Settings, name: Name, value: string | undefined): Settings {
  const [part, field] = FIELDS[name];
  const { [field as never]: _, ...rest } = settings[part] as Record<string, unknown>;
  const entry = field === "token" && value !== undefined ? new Secret(value) : value;
  return { ...settings, [part]: value === undefined ? rest : { ...rest, [field]: entry } } as Settings;
}

function absent(settings: Settings, names: readonly Name[]): Settings {
  return names.reduce((left, name) => changed(left, name, undefined), settings);
}

test("settings with the same values do not differ, whatever else is in them", () => {
  const again = { ...SETTINGS, credentials: { ...SETTINGS.credentials, token: new Secret("token") } };
  expect(differingNames(SETTINGS, { ...again, friendlyName: "attic" })).toEqual([]);
});

test.each(NAMES)("%s is named when it is another one than planned, or empty", (name) => {
  for (const value of ["other", "", "TOKEN"]) {
    expect(differingNames(SETTINGS, changed(SETTINGS, name, value))).toEqual([name]);
  }
});

test.each(NAMES)("%s is named when it is gone", (name) => {
  expect(differingNames(SETTINGS, absent(SETTINGS, [name]))).toEqual([name]);
});

test.each(CREDENTIAL_NAMES)("%s is named when it has come since", (name) => {
  const planned = absent(SETTINGS, [name]);
  expect(differingNames(planned, SETTINGS)).toEqual([name]);
  expect(differingNames(planned, planned)).toEqual([]);
});

test.each(IDENTITY_NAMES)("%s may have come since: a server gives itself what it lacks", (name) => {
  expect(differingNames(absent(SETTINGS, [name]), SETTINGS)).toEqual([]);
});

test("all that differ are named, in their fixed order", () => {
  fc.assert(
    fc.property(fc.subarray(NAMES), fc.subarray(NAMES), (gone, other) => {
      const names = NAMES.filter((name) => gone.includes(name) || other.includes(name));
      const found = absent(
        other.reduce((left, name) => changed(left, name, "other"), SETTINGS),
        gone,
      );
      expect(differingNames(SETTINGS, found)).toEqual(names);
    }),
  );
});

test("the four are told as present in their fixed order, empty ones too", () => {
  fc.assert(
    fc.property(fc.subarray([...CREDENTIAL_NAMES]), fc.subarray([...CREDENTIAL_NAMES]), (gone, empty) => {
      const some = empty.reduce((left, name) => changed(left, name, ""), SETTINGS);
      const { credentials } = absent(some, gone);
      expect(presentCredentials(credentials)).toEqual(
        CREDENTIAL_NAMES.filter((name) => !gone.includes(name)),
      );
    }),
  );
});

test("an empty token is no token", () => {
  const withToken = (credentials: Credentials) => hasToken({ ...SETTINGS, credentials });
  expect(withToken({ token: new Secret("x") })).toBe(true);
  expect(withToken({ token: new Secret("") })).toBe(false);
  expect(withToken({ username: "jane" })).toBe(false);
});
