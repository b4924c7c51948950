# Sourced by the scripts here: builds if need be, makes a throw-away token, starts servers on it.
# Takes the arguments [BIN_DIR] …; sets bin, work, and arguments (what was left).

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
case ${1:-} in
  ''|--*) bin='' ;;
  *) bin=$(cd "$1" && pwd -P); shift ;;
esac
arguments=("$@")
if [ -z "$bin" ]; then
  log=$root/build/bench.log
  mkdir -p "$root/build"
  { cmake -S "$root" -B "$root/build/bench" -G Ninja -D CMAKE_BUILD_TYPE=Release -D ASSERTION_BUILD_TESTS=ON &&
    cmake --build "$root/build/bench" --target benchmarks overload; } >"$log" 2>&1 ||
    { tail -n 25 "$log" >&2; echo "bench: the build failed, see $log" >&2; exit 1; }
  bin=$root/build/bench/bin
fi

module=/usr/lib/softhsm/libsofthsm2.so sessions=''   # what write_config names; '': assertiond's default
work=$(mktemp -d "${TMPDIR:-/tmp}/bench.XXXXXX") server=''
stop_server() {
  if [ -n "$server" ] && kill -TERM "$server" 2>/dev/null; then wait "$server" || true; fi
  server=''
}
at_exit() { stop_server; rm -rf "$work"; }
trap at_exit EXIT
trap 'exit 130' INT; trap 'exit 143' TERM

# new_token NAME: a token of its own, which the module then uses. A token for these few seconds: its PIN may stand on
# the command line.
new_token() {
  mkdir -m 700 "$work/$1" "$work/$1/tokens"
  export SOFTHSM2_CONF=$work/$1/softhsm2.conf
  printf '%s\n' "directories.tokendir = $work/$1/tokens" 'objectstore.backend = file' 'log.level = ERROR' \
    >"$SOFTHSM2_CONF"
  softhsm2-util --init-token --free --label bench --so-pin 12345678 --pin 12345678 >"$work/$1/token.log" 2>&1 ||
    { cat "$work/$1/token.log" >&2; exit 1; }
  (umask 077 && echo 12345678 >"$work/pin")
}

# new_tls: a certification authority and a caller's certificate, dns:bench, in $work/tls-files. Throw-away keys.
new_tls() {
  mkdir -m 700 "$work/tls-files"
  (
    cd "$work/tls-files"
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out authorities.pem -subj /CN=bench
    openssl req -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj /CN=bench -addext subjectAltName=DNS:bench
    openssl x509 -req -in client.csr -CA authorities.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy \
      -out client.pem
  ) >"$work/tls.log" 2>&1 || { cat "$work/tls.log" >&2; exit 1; }
}

# certify_tls: makes the token's TLS key and has its certificate issued by new_tls's authority.
certify_tls() {
  local config=$work/assertiond.json
  {
    "$bin/assertionctl" tls generate --config "$config" --san IP:127.0.0.1 &&
      "$bin/assertionctl" tls csr --config "$config" --subject CN=bench --san IP:127.0.0.1 --out "$work/tls.csr" &&
      openssl x509 -req -in "$work/tls.csr" -CA "$work/tls-files/authorities.pem" -CAkey "$work/tls-files/ca.key" \
        -CAcreateserial -days 2 -copy_extensions copy -out "$work/tls.issued" &&
      "$bin/assertionctl" tls import-certificate --config "$config" --certificate "$work/tls.issued"
  } >>"$work/tls.log" 2>&1 || { cat "$work/tls.log" >&2; exit 1; }
}

# write_config CLIENT[=ALGORITHM]…; with tls=1 in the environment also gRPC over TLS (new_tls comes before), with
# token_endpoint=URL access tokens from there.
write_config() {
  local client separator=''
  {
    printf '{ "hsm": "%s", "listen": "unix:%s", "state_directory": "%s", "refresh_interval": "1s",\n' \
      "pkcs11:token=bench?module-path=$module&pin-source=file:$work/pin" \
      "$work/assertiond.sock" "${SOFTHSM2_CONF%/*}"   # of the token: each has an audit key of its own
    if [ -n "${tls:-}" ]; then
      printf '  "tls": { "listen": "127.0.0.1:0", "certificate": "%s", "client_ca": "%s" },\n' "$work/tls.pem" \
        "$work/tls-files/authorities.pem"
    fi
    [ -z "$sessions" ] || printf '  "sessions": %s,\n' "$sessions"
    printf '  "operators": [ { "caller": "uid:%s", "roles": ["operator"] } ],\n  "clients": [' "$(id -u)"
    for client in "$@"; do
      printf '%s\n    { "client_id": "%s", "audiences": ["https://localhost:9443/oauth2/token"], "callers": ["uid:%s", "dns:bench"]' \
        "$separator" "${client%%=*}" "$(id -u)"
      [ "$client" = "${client%%=*}" ] || printf ', "algorithm": "%s"' "${client#*=}"
      [ -z "${token_endpoint:-}" ] || printf ', "tokens": { "token_endpoint": "%s" }' "$token_endpoint"
      printf ' }'
      separator=,
    done
    printf ' ] }\n'
  } >"$work/assertiond.json"
  export ASSERTIOND_SERVER=unix:$work/assertiond.sock
}

# tls_address: HOST:PORT where the server that was started speaks TLS.
tls_address() { sed -nE 's/.*serving on (\S+) with TLS.*/\1/p' "$work/assertiond.log"; }

# await PID LOG TEXT: until the server's log says it.
await() {
  local deadline=$((SECONDS + 60))
  until grep -qsF "$3" "$2"; do
    if ! kill -0 "$1" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      cat "$2" >&2; echo "bench: a server does not serve" >&2; exit 1
    fi
    sleep 0.01
  done
}

# start_server: sets started to the milliseconds from start to serving.
start_server() {
  local began
  began=$(date +%s%N)
  : >"$work/assertiond.log"   # an earlier server's says it already
  "$bin/assertiond" --config "$work/assertiond.json" >>"$work/assertiond.log" 2>&1 </dev/null &
  server=$!
  await "$server" "$work/assertiond.log" 'serving on unix:'
  started=$((($(date +%s%N) - began) / 1000000))
}
