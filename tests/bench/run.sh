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

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
case ${1:-} in
  -h|--help) usage; exit 0 ;;
  ''|--*) bin='' ;;
  *) bin=$(cd "$1" && pwd -P); shift ;;
esac
if [ -z "$bin" ]; then
  log=$root/build/bench.log
  mkdir -p "$root/build"
  { cmake -S "$root" -B "$root/build/bench" -G Ninja -D CMAKE_BUILD_TYPE=Release -D ASSERTION_BUILD_TESTS=ON &&
    cmake --build "$root/build/bench" --target assertiond assertionctl signing_bench; } >"$log" 2>&1 ||
    { tail -n 25 "$log" >&2; echo "bench: the build failed, see $log" >&2; exit 1; }
  bin=$root/build/bench/bin
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX") server=''
at_exit() {
  if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then wait "$server" || true; fi
  rm -rf "$work"
}
trap at_exit EXIT
trap 'exit 130' INT; trap 'exit 143' TERM

mkdir -m 700 "$work/tokens"
export SOFTHSM2_CONF=$work/softhsm2.conf ASSERTIOND_SERVER=unix:$work/assertiond.sock
printf '%s\n' "directories.tokendir = $work/tokens" 'objectstore.backend = file' 'log.level = ERROR' >"$SOFTHSM2_CONF"
# A token for these few seconds: its PIN may stand on the command line.
softhsm2-util --init-token --free --label bench --so-pin 12345678 --pin 12345678 >"$work/token.log" 2>&1 ||
  { cat "$work/token.log" >&2; exit 1; }
(umask 077 && echo 12345678 >"$work/pin")
cat >"$work/assertiond.json" <<JSON
{
  "hsm": "pkcs11:token=bench?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:$work/pin",
  "listen": "unix:$work/assertiond.sock",
  "state_directory": "$work",
  "operators": [ { "caller": "uid:$(id -u)", "roles": ["operator"] } ],
  "clients": [ { "client_id": "orders", "audiences": ["https://localhost:9443/oauth2/token"], "callers": ["uid:$(id -u)"] } ]
}
JSON
began=$(date +%s%N)
: >"$work/assertiond.log"   # so that the wait below always has a file to look into
"$bin/assertiond" --config "$work/assertiond.json" >>"$work/assertiond.log" 2>&1 </dev/null &
server=$!
deadline=$((SECONDS + 30))
until grep -qF 'serving on unix:' "$work/assertiond.log"; do
  if ! kill -0 "$server" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
    cat "$work/assertiond.log" >&2; echo "bench: assertiond does not serve" >&2; exit 1
  fi
  sleep 0.01
done
echo "cold start to serving, with an empty token: $((($(date +%s%N) - began) / 1000000)) ms"
"$bin/assertionctl" key generate --client-id orders >"$work/key.log"
"$bin/signing_bench" --config "$work/assertiond.json" --client-id orders "$@"
