# Completion for assertionctl and assertiond, sourced by bash: the words that --help of what stands on the line names.

_assertion() {
  local program=$1 word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} help words=() i
  COMPREPLY=()
  help=$("$program" --help 2>/dev/null) || return
  for ((i = 1; i < COMP_CWORD; i++)); do   # a noun, its verb: words that the help so far lists
    if sed -n '/^[Ss][Uu][Bb][Cc]/,/^[^ ]*$/p' <<<"$help" | grep -q "^  ${COMP_WORDS[i]} " 2>/dev/null; then
      words+=("${COMP_WORDS[i]}")
      help=$("$program" "${words[@]}" --help 2>/dev/null) || return
    fi
  done
  [ "$before" != = ] || before=${COMP_WORDS[COMP_CWORD - 2]}
  [ "$word" != = ] || word=
  if [[ $before == --* ]]; then   # what it takes stands behind it
    set -- $(sed -nE "s/^ *(-.,)?$before ([A-Z-]+:?)(\{[^}]*\})?.*/\2 \3/p" <<<"$help")
    case "${1-} ${2-}" in
      FILE*) COMPREPLY=($(compgen -f -- "$word")); return ;;
      *\{*) COMPREPLY=($(compgen -W "$(tr '{,}' '   ' <<<"$2")" -- "$word")); return ;;
      [!\ ]*) return ;;
    esac
  fi
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$(grep -oE '^ *(-.,)?--[a-z-]+' <<<"$help" | sed 's/.*--/--/')" -- "$word"))
  else
    COMPREPLY=($(compgen -W "$(sed -nE '/^subcommands:$/I,/^$/s/^  ([a-z0-9-]+) .*/\1/p' <<<"$help")" -- "$word"))
    [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _assertion assertionctl assertiond
