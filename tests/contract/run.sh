#!/usr/bin/env bash
# usage: run.sh NAME CHOSEN_TOKEN_TEST FOLDER [OPTION OF GOOGLETEST]...
# Runs the contract suite on the token that tests/tokens/NAME.sh makes, or on the personality NAME of
# tests/faulty_hsm/personalities. Writes what it found to FOLDER/NAME.row.json and compares it with
# hsm-config/compatibility.md, unless COMPATIBILITY is "write".
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
name=$1 program=$2 rows=$3
shift 3
mkdir -p "$rows"
export CONTRACT_TOKEN=$name CONTRACT_ROW=$rows/$name.row.json
rm -f "$CONTRACT_ROW"
launcher=()
if [ -f "$root/tests/tokens/$name.sh" ]; then
  work=$(mktemp -d)
  trap '"$root/tests/tokens/$name.sh" stop "$work/token"; rm -rf "$work"' EXIT
  "$root/tests/tokens/$name.sh" start "$work/token"
  export CONTRACT_FOLDER=$work/token
  launcher=("$work/token/run")
fi
"${launcher[@]}" "$program" "$@"
if [ $# = 0 ] && [ "${COMPATIBILITY:-}" != write ]; then
  "$root/hsm-config/write_compatibility.py" "$root/hsm-config/compatibility.md" --check "$CONTRACT_ROW"
fi
