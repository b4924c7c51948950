#!/usr/bin/env bash
# Sets up a throw-away token and servers, and runs signing_bench against both. Judges nothing: it measures.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/bench/run.sh [BIN_DIR] [OPTION OF signing_bench]...
  BIN_DIR   has assertiond, assertionctl and signing_bench. Default: builds build/bench, optimised as the release is.
  --rounds N --seconds S --json FILE   see signing_bench --help
Exit status: 0 measured; 1 something did not work.
USAGE
}
case ${1:-} in -h|--help) usage; exit 0 ;; esac

. "$(dirname "${BASH_SOURCE[0]}")/bench.bash"
tls=1
new_token one
new_tls
write_config orders
certify_tls
start_server
echo "cold start to serving, with an empty token: $started ms"
"$bin/assertionctl" key generate --client-id orders >"$work/key.log"
# Beside it one without an audit log: what that costs.
sed -e "s|\"listen\": \"unix:$work/assertiond.sock\"|\"listen\": \"unix:$work/unaudited.sock\"|" \
  -e '/"tls":/d' -e 's|"operators"|"audit": { "enabled": false }, "operators"|' "$work/assertiond.json" \
  >"$work/unaudited.json"
: >"$work/unaudited.log"
"$bin/assertiond" --config "$work/unaudited.json" >>"$work/unaudited.log" 2>&1 </dev/null &
beside=$!
trap 'kill "$beside" 2>/dev/null || true; at_exit' EXIT
until grep -qF 'serving on unix:' "$work/unaudited.log"; do
  kill -0 "$beside" 2>/dev/null || { cat "$work/unaudited.log" >&2; exit 1; }
  sleep 0.01
done
"$bin/signing_bench" --unaudited "unix:$work/unaudited.sock" --tls "$(tls_address)" --tls-folder "$work/tls-files" --config "$work/assertiond.json" --client-id orders "${arguments[@]}"
