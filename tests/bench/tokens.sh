#!/usr/bin/env bash
# Signatures a second through the service on each token of tests/tokens, beside the loop over the same token, in turns of
# one run. Judges nothing: it measures.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/bench/tokens.sh [BIN_DIR] [--rounds N] [--seconds S] [--tokens A,B] [--page FILE]
  BIN_DIR       as for tests/bench/run.sh
  --rounds N    how often loop and service take turns. Default: 5
  --seconds S   length of a turn. Default: 2
  --tokens A,B  default: all of tests/tokens
  --page FILE   writes the table into this page too, for example hsm-config/compatibility.md
Exit status: 0 measured; 1 something did not work; 2 wrong usage. A token that this machine cannot have is left out, and
standard error says why.
USAGE
}
case ${1:-} in -h|--help) usage; exit 0 ;; esac

. "$(dirname "${BASH_SOURCE[0]}")/bench.bash"
rounds=5 seconds=2 tokens='' page=''
set -- "${arguments[@]}"
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --tokens) tokens=${2//,/ } ;;
    --page) page=$2 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift 2
done
[ -n "$tokens" ] || tokens=$(basename -s .sh -a "$root"/tests/tokens/*.sh)

token=''
stop_token() { [ -z "$token" ] || "$root/tests/tokens/$token.sh" stop "$work/$token/token"; token=''; }
trap 'stop_server; stop_token; at_exit' EXIT

# What NSS needs beside its URI: it holds no data objects and does not vouch for custody.
write_token_config() {   # NAME
  local accepted='' ledger='' folder=$work/$1
  case $1 in
    nss*) accepted=', "accept_unshown": ["CKA_LOCAL", "custody"]' ledger="\"ledger\": \"file:$folder/ledger\"," ;;
  esac
  printf '{ "hsm": { "uri": "%s", "init_args": "%s"%s }, %s\n' "$(cat "$folder/token/uri")" \
    "$(sed 's/\\/\\\\/g; s/"/\\"/g' "$folder/token/init_args")" "$accepted" "$ledger"
  printf '  "listen": "unix:%s/s", "state_directory": "%s/state",\n' "$folder" "$folder"
  printf '  "operators": [ { "caller": "uid:%s", "roles": ["operator"] } ],\n' "$(id -u)"
  printf '  "clients": [ { "client_id": "orders", "audiences": ["https://localhost:9443/oauth2/token"], "callers": ["uid:%s"] } ] }\n' \
    "$(id -u)"
}

measure() {   # NAME
  local folder=$work/$1 status=0 sessions=1,2,4
  # In tpm2-pkcs11 a search sometimes ends for another session's sake (C_FindObjects: CKR_OPERATION_NOT_INITIALIZED).
  [ "$1" != tpm ] || sessions=1
  mkdir -m 700 "$folder" "$folder/state"
  token=$1
  "$root/tests/tokens/$1.sh" start "$folder/token" || status=$?
  if [ "$status" = 3 ]; then token=''; return; fi
  [ "$status" = 0 ] || exit 1
  write_token_config "$1" >"$folder/assertiond.json"
  "$folder/token/run" "$bin/assertiond" --config "$folder/assertiond.json" >"$folder/log" 2>&1 </dev/null &
  server=$!
  await "$server" "$folder/log" 'serving on unix:'
  "$bin/assertionctl" --server "unix:$folder/s" key generate --client-id orders >"$folder/key.log" ||
    { cat "$folder/log" >&2; exit 1; }
  "$folder/token/run" "$bin/signing_bench" --config "$folder/assertiond.json" --client-id orders --rounds "$rounds" \
    --seconds "$seconds" --raw "$sessions" --unary 16 --stream 64 --latency-for 0 --json "$work/$1.speed.json" >"$folder/bench.log"
  stop_server
  stop_token
}

for name in $tokens; do
  [ -x "$root/tests/tokens/$name.sh" ] || { echo "tokens.sh: no tests/tokens/$name.sh" >&2; exit 2; }
  measure "$name"
done
"$root/hsm-config/write_compatibility.py" ${page:+"$page"} --speed "$work"/*.speed.json
