import type { Words } from "../words/words.ts";
import { CHOICE_OPTIONS, explanation, places, script, VALUE_OPTIONS } from "./completion-places.ts";
import { optionSummary } from "./help.ts";
import { PROGRAM } from "./options.ts";

/** The completion script for PowerShell. */
export function powershell(words: Words): string {
  const rows = places().map(({ command, words: candidates, options }) => {
    const items = [
      ...candidates.map((candidate) => [candidate.word, explanation(words, candidate)]),
      ...options.map((option) => [`--${option}`, optionSummary(words, option)]),
    ].map(([word = "", text = ""]) => `@(${quotedForPowershell(word)}, ${quotedForPowershell(text)})`);
    return `        ${quotedForPowershell(command)} = @(${items.join(", ")})`;
  });
  const choices = CHOICE_OPTIONS.map(
    ({ option, choices: all }) =>
      `        ${quotedForPowershell(option)} = @(${all.map(quotedForPowershell).join(", ")})`,
  );
  return script([
    `# PowerShell completion for ${PROGRAM}`,
    `Register-ArgumentCompleter -Native -CommandName '${PROGRAM}' -ScriptBlock {`,
    "    param($wordToComplete, $commandAst, $cursorPosition)",
    "    $places = @{",
    ...rows,
    "    }",
    "    $choices = @{",
    ...choices,
    "    }",
    `    $withValue = @(${VALUE_OPTIONS.map(quotedForPowershell).join(", ")})`,
    "    $command = @()",
    "    $previous = ''",
    "    foreach ($element in @($commandAst.CommandElements | Select-Object -Skip 1)) {",
    "        if ($element.Extent.EndOffset -ge $cursorPosition) { break }",
    "        $word = $element.ToString()",
    "        if (($withValue -notcontains $previous) -and (-not $word.StartsWith('-'))) { $command += $word }",
    "        $previous = $word",
    "    }",
    "    if ($choices.ContainsKey($previous)) {",
    '        return @($choices[$previous] | Where-Object { $_ -like "$wordToComplete*" })',
    "    }",
    "    if ($withValue -contains $previous) { return }",
    "    $place = $command -join ' '",
    "    if (-not $places.ContainsKey($place)) { return }",
    '    foreach ($item in @($places[$place] | Where-Object { $_[0] -like "$wordToComplete*" })) {',
    "        [System.Management.Automation.CompletionResult]::new($item[0], $item[0], 'ParameterValue', $item[1])",
    "    }",
    "}",
  ]);
}

/** PowerShell takes typographic apostrophes for quotation marks, too. */
function quotedForPowershell(text: string): string {
  return `'${text.replace(/['‘’‚‛]/g, "$&$&")}'`;
}
