#!/usr/bin/env bash
# What assertiond does when its token fails, and under overload.
set -euo pipefail

tests=(matrix server stop soak overload)
usage() {
  cat <<'USAGE'
usage: tests/faults/run.sh BIN_DIR WORK_DIR [TEST]... [OPTION]...
  matrix    every PKCS#11 function x every code that it may answer, and what else a token can do, under load
  server    SoftHSM2 behind p11-kit server, killed and stopped
  stop      SIGTERM while the module hangs
  soak      at 70 % load, with a fault every few seconds
  overload  at 10 times what the token signs, and two unequal callers
With TEST the overload's figures are judged with --long only. Without: all of them, the overload as with --long, the soak
60 s at least, and RESULTS.md beside this file is written.
  --long           the soak 10 minutes, the server killed 100 times, the overload 30 s; otherwise 20 s, 20 times, 4 s
  --reduced        for a build that is slow: of the matrix one code for each function, way and action; a fifth of the
                   overload's rate
  --only FUNCTION  of the matrix this function's cells alone
WORK_DIR keeps the Node packages from one run to the next. Exit status: 0 all kept; 1 something was not; 2 wrong usage.
USAGE
}
case ${1:-} in -h|--help) usage; exit 0 ;; esac
[ $# -ge 2 ] || { usage >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$1" && pwd)
"$here/../e2e/install.sh" "$2"
work=$(cd "$2" && pwd)
shift 2

wanted=() matrix_options=() overload_options=() judge=''
while [ $# -gt 0 ]; do
  case $1 in
    --long) export E2E_LONG=1 judge=1; overload_options+=(--long) ;;
    --reduced) matrix_options+=(--reduced); overload_options+=(--reduced) ;;
    --only) matrix_options+=(--only "${2:?--only needs a function}"); shift ;;
    *) [[ " ${tests[*]} " == *" $1 "* ]] || { usage >&2; exit 2; }; wanted+=("$1") ;;
  esac
  shift
done

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
for program in "$bin/assertiond" "$bin/assertionctl" softhsm2-util p11-kit setpriv python3; do
  command -v "$program" >/dev/null || { echo "faults: $program is missing" >&2; exit 1; }
done

# Node looks for packages beside and above the importing file, so the tests run as copies next to node_modules.
# A folder of its own for each run, so that runs at the same time do not disturb each other.
run=$(mktemp -d -p "$work")
trap 'rm -rf "$run"' EXIT
mkdir "$run/e2e" "$run/faults" "$run/results"
cp "$here"/../e2e/*.mjs "$run/e2e/"
cp "$here"/*.mjs "$here/codes.json" "$run/faults/"
export E2E_BIN_DIR=$bin E2E_PROTO_DIR=$here/../../proto E2E_FAULTY_HSM=$bin/../tests/libfaulty_hsm.so \
  E2E_SOURCE_DIR=$here/../../src E2E_RESULTS=$run/results

try() {
  case $1 in
    matrix) node "$run/faults/matrix.mjs" "${matrix_options[@]}" ;;
    overload) "$here/overload.sh" "$bin" "${overload_options[@]}" ;;
    *) node --test --test-reporter=spec "$run/faults/$1.test.mjs" ;;
  esac
}

if [ ${#wanted[@]} -gt 0 ]; then
  # In four seconds, and beside what CI does, chance decides about figures: RESULTS.md's run judges them.
  [ -n "$judge" ] || overload_options+=(--tell-figures)
  for test in "${wanted[@]}"; do try "$test"; done
  exit
fi
overload_options+=(--long)
[ -n "${E2E_LONG:-}" ] || export E2E_SECONDS=${E2E_SECONDS:-60}
status=0
for test in "${tests[@]}"; do try "$test" || status=1; done
[ "$status" = 0 ] || exit 1
{
  printf '# What assertiond does when its token fails\n\nWritten by `tests/faults/run.sh BIN_DIR WORK_DIR` on %s, %s.\n' \
    "$(date +%F)" "$(nproc) cores, $(. /etc/os-release && echo "$PRETTY_NAME")"
  for test in matrix server soak overload; do echo; cat "$run/results/$test.md"; done
} >"$here/RESULTS.md"
