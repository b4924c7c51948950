#!/usr/bin/env bash
# Sets up a throw-away token and a server, and runs signing_bench against both. Judges nothing: it measures.
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
new_token one
write_config orders
start_server
echo "cold start to serving, with an empty token: $started ms"
"$bin/assertionctl" key generate --client-id orders >"$work/key.log"
"$bin/signing_bench" --config "$work/assertiond.json" --client-id orders "${arguments[@]}"
