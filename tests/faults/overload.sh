#!/usr/bin/env bash
# Overloads assertiond on a token that takes its time, and sees whether it keeps its promises. Last line:
# "N passed, N failed", one for each promise.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/faults/overload.sh [BIN_DIR] [--seconds N | --long] [--reduced] [--tell-figures]
  BIN_DIR      as for tests/bench/run.sh, with overload; ../tests/libfaulty_hsm.so beside it
  --seconds N  of overload; the rest takes as long again. Default: 4
  --long       30 seconds
  --tell-figures  a figure that is missed is told, and no failure: for machines that do other things meanwhile
  --reduced    a fifth of the rate, for a build that is slow
E2E_RESULTS may name a folder that keeps the report. Exit status: 0 all kept; 1 one was broken, or something did not work.
USAGE
}
case ${1:-} in -h|--help) usage; exit 0 ;; esac

. "$(dirname "${BASH_SOURCE[0]}")/../bench/bench.bash"
seconds=4 sessions=16 delay=40 spread=8 tell=()
while [ ${#arguments[@]} -gt 0 ]; do
  case ${arguments[0]} in
    --seconds) seconds=${arguments[1]}; arguments=("${arguments[@]:1}") ;;
    --long) seconds=30 ;;
    --reduced) delay=200 spread=40 ;;
    --tell-figures) tell=(--tell-figures) ;;
    *) usage >&2; exit 1 ;;
  esac
  arguments=("${arguments[@]:1}")
done

tls=1
module=$(cd "$bin/../tests" && pwd -P)/libfaulty_hsm.so
export FAULTY_HSM_MODULE=/usr/lib/softhsm/libsofthsm2.so FAULTY_HSM_CONTROL=$work/faults
new_token overload
new_tls
write_config orders
certify_tls
start_server
"$bin/assertionctl" key generate --client-id orders >"$work/key.log"
echo "C_Sign delay=$delay spread=$spread" >"$work/faults.new"
mv "$work/faults.new" "$work/faults"

status=0
"$bin/overload" --config "$work/assertiond.json" --tls "$(tls_address)" --tls-folder "$work/tls-files" \
  --token "SoftHSM2 that answers C_Sign after $delay ms (standard deviation $spread ms)" --sessions "$sessions" \
  --seconds "$seconds" "${tell[@]}" >"$work/report" || status=1
cat "$work/report"
if [ -n "${E2E_RESULTS:-}" ]; then
  { printf '## Overload\n\n'; sed '$d' "$work/report" | sed '$d'; } >"$E2E_RESULTS/overload.md"
fi
exit "$status"
