import type { Words } from "../words/words.ts";
import { bash } from "./completion-bash.ts";
import { fish } from "./completion-fish.ts";
import { powershell } from "./completion-powershell.ts";
import { zsh } from "./completion-zsh.ts";
import type { Shell } from "./options.ts";

/** A completion script for a shell, made from the tables; explanations are in the language of `words`. */
export function completionScript(shell: Shell, words: Words): string {
  switch (shell) {
    case "bash":
      return bash();
    case "zsh":
      return zsh(words);
    case "fish":
      return fish(words);
    case "powershell":
      return powershell(words);
  }
}
