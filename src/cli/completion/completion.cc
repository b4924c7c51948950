// assertionctl completion bash|zsh|fish
//
// The scripts ask `assertionctl complete` at each press of the key, so that they cannot disagree with the program. They
// run the assertionctl of PATH, never the path at the head of the line: it may be another's.

#include "cli/command.h"
#include "cli/output.h"
#include "cli/verbs.h"

namespace assertion::cli {
namespace {

constexpr const char* kBash = R"script(# Completion of assertionctl for bash, by: assertionctl completion bash

_assertionctl() {
  local typed=() word='' at line prefix
  COMPREPLY=()
  for ((at = 1; at <= COMP_CWORD; at++)); do # bash splits words at = and :
    word=${COMP_WORDS[at]}
    ((at == COMP_CWORD)) || word=${word//[\"\'\\]/}
    if ((${#typed[@]} > 0)) && [[ ${COMP_WORDS[at]} =~ ^[=:]+$ || ${COMP_WORDS[at - 1]} =~ ^[=:]+$ ]]; then
      typed[${#typed[@]} - 1]+=$word
    else
      typed+=("$word")
    fi
  done
  [[ ! $word =~ ^[=:]+$ ]] || word=''
  prefix=${typed[${#typed[@]} - 1]%"$word"} # bash replaces what follows it
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
    else
      line=${line%%$'\t'*}
      COMPREPLY+=("${line#"$prefix"}")
    fi
  done < <(command assertionctl complete "${typed[@]}" 2>/dev/null </dev/null)
}
complete -F _assertionctl assertionctl
)script";

constexpr const char* kZsh = R"script(#compdef assertionctl
# Completion of assertionctl for zsh, by: assertionctl completion zsh

_assertionctl() {
  local line
  local -a typed offered shown
  ((CURRENT <= 2)) || typed=("${(@Q)words[2,CURRENT-1]}")
  typed+=("${(Q)PREFIX}")
  for line in "${(@f)$(command assertionctl complete "${typed[@]}" 2>/dev/null </dev/null)}"; do
    if [[ $line == :files ]]; then
      compset -P '--[a-z-]##=' || true
      _files
      return
    elif [[ -n $line ]]; then
      offered+=("${line%%$'\t'*}")
      shown+=("${line/$'\t'/  -- }")
    fi
  done
  ((${#offered})) && compadd -l -d shown -- "${offered[@]}"
}
if [[ ${funcstack[1]-} == _assertionctl ]]; then
  _assertionctl "$@"
else
  compdef _assertionctl assertionctl
fi
)script";

constexpr const char* kFish = R"script(# Completion of assertionctl for fish, by: assertionctl completion fish

function __assertionctl_complete
    set -l typed (commandline -opc)
    set -e typed[1]
    set -l current (commandline -ct)
    for line in (command assertionctl complete $typed "$current" 2>/dev/null </dev/null)
        if test "$line" = :files
            set -l option (string match -r -- '^--[a-z-]+=' "$current")
            for name in (__fish_complete_path (string replace -r -- '^--[a-z-]+=' '' "$current"))
                printf '%s%s\n' "$option" "$name"
            end
        else
            printf '%s\n' "$line"
        end
    end
end
complete -c assertionctl -f -a '(__assertionctl_complete)'
)script";

struct CompletionOptions {};

template <const char* const& script>
int PrintScript(const CompletionOptions& /*options*/) {
  return WriteOctets("", script);
}

}  // namespace

void AddCompletion(Command& assertionctl) {
  auto completion =
      assertionctl.AddNoun("completion", "Completion for shells: commands, options, their values, client ids and kids");
  completion.AddVerb<CompletionOptions>(
      {.name = "bash",
       .summary = "Print the completion for bash",
       .examples = "  source <(assertionctl completion bash)\n"
                   "  assertionctl completion bash >~/.local/share/bash-completion/completions/assertionctl"},
      PrintScript<kBash>);
  completion.AddVerb<CompletionOptions>({.name = "zsh",
                                         .summary = "Print the completion for zsh",
                                         .examples = "  source <(assertionctl completion zsh)   # after compinit\n"
                                                     "  assertionctl completion zsh >\"${fpath[1]}/_assertionctl\""},
                                        PrintScript<kZsh>);
  completion.AddVerb<CompletionOptions>(
      {.name = "fish",
       .summary = "Print the completion for fish",
       .examples = "  assertionctl completion fish | source\n"
                   "  assertionctl completion fish >~/.config/fish/completions/assertionctl.fish"},
      PrintScript<kFish>);
}

}  // namespace assertion::cli
