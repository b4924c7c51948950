#!/usr/bin/env bash
# How much of the token's speed assertiond passes on, and what it costs: everything that the README's "Speed" tells,
# measured in one run on one token. Judges nothing but itself: a target that is missed is told, and no error.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/bench/run.sh [BIN_DIR] [--rounds N] [--seconds S] [--algorithms LIST] [--results DIR] [--short]
  BIN_DIR          has assertiond, assertionctl and the benchmarks; ../tests/libfaulty_hsm.so beside it. Default: builds
                   build/bench, optimised as the release is.
  --rounds N       how often all that is compared takes turns. Default: 7
  --seconds S      length of a turn; behind the simulated network four times that. Default: 1
  --algorithms A,B the last is also that of the key behind the simulated network. Default: RS256,PS256,ES256
  --results DIR    where results.json, results.md and results.svg go. Default: tests/bench/results
  --short          does everything once and as briefly as it can: whether it works. Writes to DIR only if that is given
Exit status: 0 measured; 1 something did not work; 2 wrong usage.
USAGE
}
case ${1:-} in -h|--help) usage; exit 0 ;; esac

. "$(dirname "${BASH_SOURCE[0]}")/bench.bash"
rounds=7 seconds=1 algorithms=RS256,PS256,ES256 results='' starts=9 latency_for=2 micro=0.2 short=''
set -- "${arguments[@]}"
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --algorithms) algorithms=$2; shift ;;
    --results) results=$2; shift ;;
    --short) short=1 rounds=1 seconds=0.1 starts=1 latency_for=0.2 micro=0.01 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
[ -n "$results" ] || { [ -z "$short" ] && results=$root/tests/bench/results || results=$work/results; }
mkdir -p "$results" "$work/parts"

clients=() configured=()
for algorithm in ${algorithms//,/ }; do
  clients+=("${algorithm,,}") configured+=("${algorithm,,}=$algorithm")
done
all=$(IFS=,; echo "${clients[*]}")
bench() { "$bin/signing_bench" --config "$work/assertiond.json" --rounds "$rounds" --seconds "$seconds" "$@"; }

# The token itself, and the service over its Unix socket and TLS.
new_token one
new_tls
tls=1 write_config "${configured[@]}"
certify_tls
start_server
for client in "${clients[@]}"; do
  "$bin/assertionctl" key generate --client-id "$client" >>"$work/key.log"
done
# Beside it one without an audit log: what that costs.
sed -e "s|\"listen\": \"unix:$work/assertiond.sock\"|\"listen\": \"unix:$work/unaudited.sock\"|" \
  -e '/"tls":/d' -e 's|"operators"|"audit": { "enabled": false }, "operators"|' "$work/assertiond.json" \
  >"$work/unaudited.json"
"$bin/assertiond" --config "$work/unaudited.json" >"$work/unaudited.log" 2>&1 </dev/null &
beside=($!)
trap 'kill "${beside[@]}" 2>/dev/null || true; at_exit' EXIT
await "${beside[0]}" "$work/unaudited.log" 'serving on unix:'
# And one that is nothing but gRPC: what is possible here at all.
"$bin/bare_server" "unix:$work/bare.sock" >"$work/bare.log" 2>&1 </dev/null &
beside+=($!)
await "${beside[1]}" "$work/bare.log" serving
bench --client-id "$all" --server "$server" --unaudited "unix:$work/unaudited.sock" --bare "unix:$work/bare.sock" \
  --bare-server "${beside[1]}" --tls "$(tls_address)" --tls-folder "$work/tls-files" \
  --latency-for "$latency_for" --json "$work/parts/token.json"
kill "${beside[@]}"; wait "${beside[@]}" || true
stop_server

# A start with those keys, and without the audit log of all that was signed above: a start reads its youngest file.
rm -f "$work"/one/audit.log*
write_config "${configured[@]}"
"$bin/start_bench" --assertiond "$bin/assertiond" --config "$work/assertiond.json" --client-id "${clients[0]}" \
  --rounds "$starts" --json "$work/parts/start.json"

# The same token behind a network: signatures that take their time, and sessions that wait meanwhile.
network() {   # CLIENT MS SESSIONS
  # In longer turns: at either end of one sessions are idle for as long as a signature takes.
  local seconds=$seconds; seconds=$(awk -v s="$seconds" 'BEGIN { print 4 * s }')
  module=$(cd "$bin/../tests" && pwd -P)/libfaulty_hsm.so sessions=$3
  export FAULTY_HSM_MODULE=/usr/lib/softhsm/libsofthsm2.so FAULTY_HSM_CONTROL=$work/faults
  : >"$work/faults.new"; mv "$work/faults.new" "$work/faults"
  write_config "${configured[@]}"
  start_server
  echo "C_Sign take=$2" >"$work/faults.new"; mv "$work/faults.new" "$work/faults"
  bench --client-id "$1" --server "$server" --raw "$3" --unary "$((2 * $3))" --stream "$((2 * $3))" --beside "$3" \
    --per-second "$(awk -v s="$3" -v t="$2" 'BEGIN { print 0.8 * s * 1000 / t }')" --latency-for "$latency_for" \
    --json "$work/parts/network-$2ms-$3.json"
  stop_server
}
network "${clients[-1]}" 40 64
network "${clients[-1]}" 5 16

"$bin/micro_bench" --benchmark_format=json --benchmark_min_time="$micro" >"$work/parts/micro.json" \
  2>"$work/micro.log" || { cat "$work/micro.log" >&2; exit 1; }

"$root/tests/bench/report.py" "$work/parts" "$results"
