import type { CredentialChange, Settings } from "../model/settings.ts";
import { differingAttributes, editPreferences, parsePreferences } from "./preferences-xml.ts";

/** How a settings file is written: what its bytes mean, and what they are after a change. No effects. */
export interface SettingsFormat {
  readonly kind: "xml" | "plist";
  /** Throws `IDENTITY_LOST`, `SETTINGS_MALFORMED`, `UNEXPECTED_TYPE`. */
  parse(bytes: Uint8Array, path: string): Settings;
  /** Everything but the four values the same, and checked to be so. Throws as `parse`, and `PLEXTV_NONSENSE`. */
  edit(bytes: Uint8Array, change: CredentialChange, path: string): Promise<Uint8Array>;
  /** How many settings outside the four differ; 0 where either cannot be read. */
  differences(one: Uint8Array, other: Uint8Array): number;
}

/** `Preferences.xml`: Linux, NAS models, containers. An independent reader agrees to each edit. */
export const PREFERENCES_XML: SettingsFormat = {
  kind: "xml",
  parse: parsePreferences,
  async edit(bytes, change, path) {
    const after = editPreferences(bytes, change, path);
    const { secondOpinion } = await import("./second-opinion.ts");
    await secondOpinion(bytes, after, change, path);
    return after;
  },
  differences: differingAttributes,
};

/** Whether a settings file that a person named is a property list of macOS, by its name. */
export function isPlistName(path: string): boolean {
  return /\.plist$/iu.test(path);
}
