#!/usr/bin/env bash
# What many keys and many clients cost: start-up, refresh and signing with N keys, and with N clients, against 3. Judges nothing: it measures.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/bench/keys.sh [BIN_DIR] [--keys N] [--clients N] [--algorithm A] [--seconds S]
  BIN_DIR      as for tests/bench/run.sh
  --keys N     keys on the large token, each of a client of its own. Default: 300
  --clients N  configured in the last row, of which 3 have a key. Default: 10000
  --algorithm A of the keys. Default: RS256; an ES256 key is made in a tenth of the time
  --seconds S  of each measurement of signing and of refreshing. Default: 5
Exit status: 0 measured; 1 something did not work.
USAGE
}
case ${1:-} in -h|--help) usage; exit 0 ;; esac

. "$(dirname "${BASH_SOURCE[0]}")/bench.bash"
keys=300 many=10000 algorithm=RS256 seconds=5
while [ ${#arguments[@]} -gt 0 ]; do
  case ${arguments[0]} in
    --keys) keys=${arguments[1]} ;;
    --clients) many=${arguments[1]} ;;
    --algorithm) algorithm=${arguments[1]} ;;
    --seconds) seconds=${arguments[1]} ;;
    *) usage >&2; exit 1 ;;
  esac
  arguments=("${arguments[@]:2}")
done

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
# Clock ticks (1/100 s) of processor time that the server has used.
ticks() { sed 's/^.*) //' "/proc/$server/stat" | awk '{ print $12 + $13 }'; }
# What SoftHSM2 itself takes to list the objects, in milliseconds.
listing() {
  local began
  began=$(date +%s%N)
  pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --login --pin 12345678 --list-objects >"$work/objects" 2>&1
  echo $((($(date +%s%N) - began) / 1000000))
}

# measure KEYS CLIENTS: sets start, list, refresh (ms of processor time each) and rate.
measure() {
  local clients=() client before starts='' lists='' i
  for ((i = 1; i <= $2; i++)); do clients+=("client-$i=$algorithm"); done
  new_token "keys-$1-$2"
  write_config "${clients[@]}"
  start_server
  for client in "${clients[@]:0:$1}"; do "$bin/assertionctl" key generate --client-id "${client%%=*}" >"$work/key.log"; done
  stop_server
  for i in 1 2 3 4 5; do
    start_server
    starts+="$started"$'\n' lists+="$(listing)"$'\n'
    [ "$i" = 5 ] || stop_server
  done
  start=$(printf %s "$starts" | median) list=$(printf %s "$lists" | median)
  before=$(ticks)
  sleep "$seconds"   # one refresh a second
  refresh=$(awk -v t=$(($(ticks) - before)) -v s="$seconds" 'BEGIN { printf "%.1f", t * 10 / s }')
  "$bin/signing_bench" --config "$work/assertiond.json" --client-id client-1 --rounds 3 --seconds "$seconds" \
    --raw 2 --unary 16 --stream 0 --latency-for 0 --json "$work/rates.json"
  rate=$(python3 - "$work/rates.json" <<'PYTHON'
import json, statistics, sys
series = json.load(open(sys.argv[1]))["series"]
print(round(statistics.median(next(one for one in series if one["kind"] == "unary")["per_second"])))
PYTHON
)
  stop_server
}

printf '%6s  %7s  %11s  %18s  %19s  %12s\n' keys clients 'start-up ms' 'listed by SoftHSM2' 'ms of CPU a refresh' 'signatures/s'
for row in '3 3' "$keys $keys" "3 $many"; do
  read -r count clients <<<"$row"
  measure "$count" "$clients"
  printf '%6s  %7s  %11s  %18s  %19s  %12s\n' "$count" "$clients" "$start" "$list" "$refresh" "$rate"
done
