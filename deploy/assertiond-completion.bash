# Completion of assertiond for bash: the options that its --help names. That of assertionctl: assertionctl completion bash

_assertiond() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $before in
    --config | --check-config) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    --log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$(command assertiond --help 2>/dev/null | grep -oE '^ *(-.,)?--[a-z-]+' |
      sed 's/.*--/--/')" -- "$word") ;;
  esac
}
complete -F _assertiond assertiond
