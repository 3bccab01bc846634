// `sozu completions bash|zsh|fish`: a script that completes verbs and flags, generated from the command tree, so that it
// knows what this version knows. It runs no program while completing: the whole tree is in the script.

import type { Command, Option } from "commander";

/** The shells. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** The script for a shell; `program` is the whole command tree. */
export function completionScript(program: Command, shell: Shell): string {
  const places = collect(program, program.name(), program);
  if (shell === "fish") return fishScript(places);
  return shell === "bash" ? bashScript(places) : zshScript(places);
}

interface Word {
  readonly text: string;
  readonly doc: string;
}

/** What can come behind some words. */
interface Place {
  /** `sozu cluster add`. */
  readonly path: string;
  readonly verbs: readonly Word[];
  readonly flags: readonly Word[];
  /** Values of flags that have a fixed choice. */
  readonly choices: readonly { readonly flag: string; readonly words: readonly string[] }[];
}

function collect(command: Command, path: string, program: Command): Place[] {
  const help = command.createHelp();
  const options = [...visible(command), ...(command === program ? [] : visible(program))];
  const verbs = help.visibleCommands(command).map((verb) => ({ text: verb.name(), doc: verb.description() }));
  const place = {
    path,
    verbs: verbs.filter(({ text }) => text !== "help"),
    flags: options.flatMap((option) => names(option).map((text) => ({ text, doc: option.description }))),
    choices: options.flatMap((option) => {
      const words = option.argChoices ?? [];
      return words.length === 0 ? [] : names(option).map((flag) => ({ flag, words }));
    }),
  };
  const below = place.verbs.flatMap(({ text }) => {
    const verb = command.commands.find((one) => one.name() === text);
    return verb === undefined ? [] : collect(verb, `${path} ${text}`, program);
  });
  return [place, ...below];
}

function visible(command: Command): Option[] {
  return command.createHelp().visibleOptions(command);
}

function names(option: Option): string[] {
  return [option.short, option.long].filter((name) => name !== undefined && name !== null) as string[];
}

const FILES = "-c|--config|-f|--file";

/** The words so far as a path of verbs; what is no verb there is a flag or a value and is passed over. */
function pathCases(places: readonly Place[]): string {
  const paths = places.slice(1).map(({ path }) => `"${path}"`);
  return paths.join("|");
}

function bashScript(places: readonly Place[]): string {
  return `# bash completion of sozu: put it where bash-completion looks, or source it in ~/.bashrc
_sozu() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} path=sozu i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in ${pathCases(places)}) path="$path \${COMP_WORDS[i]}" ;; esac
  done
  COMPREPLY=()
  case "$prev" in ${FILES}) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;; esac
  local words=
  case "$path $prev" in
${choiceCases(places, (words) => `words="${words}"`)}
  esac
  if [[ -z $words ]]; then
    case "$path" in
${placeCases(places, (words) => `words="${words}"`)}
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _sozu sozu ./sozu
`;
}

function zshScript(places: readonly Place[]): string {
  return `#compdef sozu
# zsh completion of sozu: put it as _sozu into a folder of $fpath
_sozu() {
  local place=sozu prev=\${words[CURRENT-1]} i
  for ((i = 2; i < CURRENT; i++)); do
    case "$place \${words[i]}" in (${pathCases(places)}) place="$place \${words[i]}" ;; esac
  done
  case "$prev" in (${FILES}) _files; return ;; esac
  case "$place $prev" in
${choiceCases(places, (words) => `compadd -- ${words}; return`)}
  esac
  case "$place" in
${placeCases(places, (words) => `compadd -- ${words}`)}
  esac
}
if [ "$funcstack[1]" = "_sozu" ]; then _sozu "$@"; else compdef _sozu sozu; fi
`;
}

function placeCases(places: readonly Place[], body: (words: string) => string): string {
  return places
    .map(({ path, verbs, flags }) => {
      const words = [...verbs, ...flags].map(({ text }) => text).join(" ");
      return `      "${path}") ${body(words)} ;;`;
    })
    .join("\n");
}

function choiceCases(places: readonly Place[], body: (words: string) => string): string {
  return places
    .flatMap(({ path, choices }) =>
      choices.map(({ flag, words }) => `    "${path} ${flag}") ${body(words.join(" "))} ;;`),
    )
    .join("\n");
}

function fishScript(places: readonly Place[]): string {
  const lines = places.flatMap(({ path, verbs, flags, choices }) => {
    const at = `complete -c sozu -n '__sozu_at "${path}"'`;
    return [
      ...verbs.map(({ text, doc }) => `${at} -f -a ${text} -d ${quoted(doc)}`),
      ...flags.map(({ text, doc }) => {
        const name = text.startsWith("--") ? `-l ${text.slice(2)}` : `-s ${text.slice(1)}`;
        const words = choices.find(({ flag }) => flag === text)?.words ?? [];
        return `${at} ${name} -d ${quoted(doc)}${words.length === 0 ? "" : ` -x -a ${quoted(words.join(" "))}`}`;
      }),
    ];
  });
  const known = places.slice(1).map(({ path }) => `"${path}"`);
  return `# fish completion of sozu: put it as sozu.fish into ~/.config/fish/completions
function __sozu_at
    set -l place sozu
    for word in (commandline -opc)[2..-1]
        if contains -- "$place $word" ${known.join(" ")}
            set place "$place $word"
        end
    end
    test "$place" = "$argv[1]"
end
${lines.join("\n")}
`;
}

function quoted(text: string): string {
  return `'${text.replace(/\\/g, "\\\\").replace(/'/g, "\\'")}'`;
}
