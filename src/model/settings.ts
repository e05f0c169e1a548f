import type { Secret } from "./secret.ts";

/**
 * The four values in which a Plex Media Server keeps its sign-in. `PlexOnlineHome` is often absent.
 * Source: support.plex.tv/articles/204281528 (last modified 2025-06-06).
 */
export const CREDENTIAL_NAMES = [
  "PlexOnlineToken",
  "PlexOnlineUsername",
  "PlexOnlineMail",
  "PlexOnlineHome",
] as const;
export type CredentialName = (typeof CREDENTIAL_NAMES)[number];

/**
 * Who the server is. These never change: with another `ProcessedMachineIdentifier` every client sees a new
 * server, and shares are lost. They are read, never computed (two public scripts salt the hash differently).
 */
export const IDENTITY_NAMES = [
  "MachineIdentifier",
  "ProcessedMachineIdentifier",
  "AnonymousMachineIdentifier",
  "CertificateUUID",
] as const;
export type IdentityName = (typeof IDENTITY_NAMES)[number];

/** The four values as they stand; a name that is absent from the settings is absent here. */
export interface Credentials {
  readonly token?: Secret;
  readonly username?: string;
  readonly mail?: string;
  readonly home?: string;
}

/** The identity; the first two are required of any settings that we edit. */
export interface Identity {
  readonly machineIdentifier: string;
  /** 40 hex digits: the device id at plex.tv, and the `machineIdentifier` of `/identity`. */
  readonly processedMachineIdentifier: string;
  readonly anonymousMachineIdentifier?: string;
  readonly certificateUUID?: string;
}

/** What a store read out of a server's settings. */
export interface Settings {
  readonly credentials: Credentials;
  readonly identity: Identity;
  readonly friendlyName?: string;
}

/** What plex.tv gave for a claim code; written in place of the four values. */
export interface NewCredentials {
  readonly token: Secret;
  readonly username: string;
  readonly mail: string;
}

/** What is to be done to the four values, in one write. */
export type CredentialChange =
  | { readonly kind: "remove" }
  | { readonly kind: "replace"; readonly credentials: NewCredentials };

/** A server with an empty `PlexOnlineToken=""` is signed out, whatever a container's script may think of it. */
export function hasToken(settings: Settings): boolean {
  return settings.credentials.token !== undefined && settings.credentials.token.reveal() !== "";
}

/** Which of the four are present, in their fixed order. */
export function presentCredentials(credentials: Credentials): CredentialName[] {
  const present = {
    PlexOnlineToken: credentials.token,
    PlexOnlineUsername: credentials.username,
    PlexOnlineMail: credentials.mail,
    PlexOnlineHome: credentials.home,
  };
  return CREDENTIAL_NAMES.filter((name) => present[name] !== undefined);
}

/**
 * The names of the four values and of the identity that are not as a plan had them. An identity value that the
 * plan found absent may have come since: a server gives itself what it lacks, and writes it when it exits.
 */
export function differingNames(planned: Settings, found: Settings): (CredentialName | IdentityName)[] {
  const differs = (name: CredentialName | IdentityName) =>
    valueByName(planned, name) !== valueByName(found, name);
  return [
    ...CREDENTIAL_NAMES.filter(differs),
    ...IDENTITY_NAMES.filter((name) => valueByName(planned, name) !== undefined && differs(name)),
  ];
}

function valueByName(settings: Settings, name: CredentialName | IdentityName): string | undefined {
  const { credentials, identity } = settings;
  switch (name) {
    case "PlexOnlineToken":
      return credentials.token?.reveal();
    case "PlexOnlineUsername":
      return credentials.username;
    case "PlexOnlineMail":
      return credentials.mail;
    case "PlexOnlineHome":
      return credentials.home;
    case "MachineIdentifier":
      return identity.machineIdentifier;
    case "ProcessedMachineIdentifier":
      return identity.processedMachineIdentifier;
    case "AnonymousMachineIdentifier":
      return identity.anonymousMachineIdentifier;
    case "CertificateUUID":
      return identity.certificateUUID;
  }
}
