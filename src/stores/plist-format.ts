import { differingKeys, editPlist, parsePlistSettings } from "./plist-settings.ts";
import type { SettingsFormat } from "./settings-format.ts";

/** A property list of macOS as a file, binary or XML: a copy, a backup, another disk. */
export const PLIST: SettingsFormat = {
  kind: "plist",
  parse: parsePlistSettings,
  edit: async (bytes, change, path) => editPlist(bytes, change, path),
  differences: differingKeys,
};
