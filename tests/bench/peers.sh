#!/usr/bin/env bash
# assertiond beside others on the same token, in turns: the server that a Go programmer writes for the same job, an older
# build of assertiond, and the bare token; on SoftHSM2, on a token that costs nothing, and behind simulated networks.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/bench/peers.sh [BIN_DIR] [--before DIR] [--rounds N] [--seconds S] [--json FILE] [--short]
  BIN_DIR       has assertiond, assertionctl and the benchmarks; ../tests/bench/libinstant_hsm.so and
                ../tests/libfaulty_hsm.so beside it. Default: builds build/bench, optimised as the release is.
  --before DIR  has the assertiond of an older build
  --rounds N    how often all that is compared takes turns. Default: 7
  --seconds S   length of a turn. Default: 1
  --json FILE   where the ratios go as well
  --short       does everything once and as briefly as it can: whether it works
The Go server is left out where its packages are not installed: deploy/install-deps.sh bench.
Exit status: 0 measured; 1 something did not work; 2 wrong usage.
USAGE
}
case ${1:-} in -h|--help) usage; exit 0 ;; esac

. "$(dirname "${BASH_SOURCE[0]}")/bench.bash"
rounds=7 seconds=1 latency=1 before='' json=''
set -- "${arguments[@]}"
while [ $# -gt 0 ]; do
  case $1 in
    --before) before=$(cd "$2" && pwd -P); shift ;;
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --json) json=$2; shift ;;
    --short) rounds=1 seconds=0.05 latency=0.1 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
parts=$work/parts
mkdir -p "$parts"
beside=()
end_beside() { [ ${#beside[@]} = 0 ] || { kill "${beside[@]}" 2>/dev/null && wait "${beside[@]}" || true; }; beside=(); }
trap 'end_beside; at_exit' EXIT

# build_go_peer: sets go_peer to the program, or to nothing where Go's packages are not installed.
build_go_peer() {
  local go=$work/go packages=/usr/share/gocode
  go_peer=''
  if ! command -v go protoc-gen-go >/dev/null || [ ! -d "$packages/src/github.com/ThalesIgnite/crypto11" ]; then
    echo 'peers: without the Go server: its packages are not installed (deploy/install-deps.sh bench)'
    return
  fi
  mkdir -p "$go/src/go_peer"
  cp "$root/tests/bench/go_peer/main.go" "$go/src/go_peer"
  local options=plugins=grpc,Mgoogle/rpc/status.proto=google.golang.org/genproto/googleapis/rpc/status name
  for name in any duration struct timestamp; do   # Debian's golang/protobuf 1.3 has no successor's packages beside it
    options+=,Mgoogle/protobuf/$name.proto=github.com/golang/protobuf/ptypes/$name
  done
  protoc -I "$root/proto" --go_out="$options:$go/src" assertion/v1/assertion.proto
  GO111MODULE=off GOPATH=$go:$packages GOCACHE=$go/cache go build -o "$go/go_peer" go_peer
  go_peer=$go/go_peer
}

# start_before CLIENT=ALGORITHM...: an older assertiond, for the next measurement. Its token and folder are its own: an
# older build cannot read a newer ledger.
start_before() {
  [ -n "$before" ] || return 0
  local work=$work/before SOFTHSM2_CONF ASSERTIOND_SERVER client
  rm -rf "$work"
  mkdir -m 700 "$work"
  new_token old
  write_config "$@"
  : >"$work/assertiond.log"
  "$before/assertiond" --config "$work/assertiond.json" >"$work/assertiond.log" 2>&1 </dev/null &
  beside+=($!)
  await $! "$work/assertiond.log" 'serving on unix:'
  for client in "$@"; do "$before/assertionctl" key generate --client-id "${client%%=*}" >>"$work/key.log"; done
  peers+=(--peer "before=unix:$work/assertiond.sock,${beside[-1]}")
}
start_go() {   # CLIENTS
  [ -n "$go_peer" ] || return 0
  rm -f "$work/go.sock"
  "$go_peer" "$module" bench "$work/pin" "$work/go.sock" "$1" >"$work/go.log" 2>&1 </dev/null &
  beside+=($!)
  await $! "$work/go.log" serving
  peers+=(--peer "Go=unix:$work/go.sock,$!,unary")
}
bench() {   # PART [OPTION]...
  "$bin/signing_bench" --config "$work/assertiond.json" --server "$server" --rounds "$rounds" --seconds "$seconds" \
    "${peers[@]}" --json "$parts/$1.json" "${@:2}"
  end_beside
  stop_server
}

build_go_peer

echo 'peers: SoftHSM2'
new_token one
write_config rs256=RS256 es256=ES256
start_server
for client in rs256 es256; do "$bin/assertionctl" key generate --client-id "$client" >>"$work/key.log"; done
peers=()
start_before rs256=RS256 es256=ES256
start_go rs256,es256
"$bin/bare_server" "unix:$work/bare.sock" >"$work/bare.log" 2>&1 </dev/null &
beside+=($!)
await $! "$work/bare.log" serving
bench softhsm --client-id rs256,es256 --raw 2 --unary 64 --stream 64 --latency-for "$latency" --bare "unix:$work/bare.sock" --bare-server $!

echo 'peers: a token that costs nothing'
real=$module
instant=$(cd "$bin/../tests/bench" && pwd -P)/libinstant_hsm.so
module=$instant
export INSTANT_HSM_MODULE=$real
new_token two
write_config rs256=RS256
start_server
"$bin/assertionctl" key generate --client-id rs256 >>"$work/key.log"
peers=()
start_before rs256=RS256
bench instant --client-id rs256 --raw 2 --unary 64 --stream 64 --latency-for 0

# A network HSM costs this machine nothing but the wait.
network() {   # MS SESSIONS
  local module sessions=$2
  module=$(cd "$bin/../tests" && pwd -P)/libfaulty_hsm.so
  export FAULTY_HSM_MODULE=$instant FAULTY_HSM_CONTROL=$work/faults SOFTHSM2_CONF=$work/two/softhsm2.conf
  echo "peers: $1 ms, $2 sessions"
  : >"$work/faults.new"; mv "$work/faults.new" "$work/faults"
  write_config rs256=RS256
  start_server
  echo "C_Sign take=$1" >"$work/faults.new"; mv "$work/faults.new" "$work/faults"
  peers=()
  bench "network-$1ms-$2" --client-id rs256 --raw "$2" --unary "$((2 * $2))" --stream 0 \
    --per-second "$(awk -v s="$2" -v t="$1" 'BEGIN { print 0.8 * s * 1000 / t }')" --latency-for "$(awk -v l="$latency" 'BEGIN { print 2 * l }')"
}
network 5 16
network 1 32
network 40 64

echo 'peers: calls that wait, of gRPC alone and of assertiond'
"$bin/bare_server" "unix:$work/bare.sock" >"$work/bare.log" 2>&1 </dev/null &
beside+=($!)
await $! "$work/bare.log" serving
"$bin/waiting_bench" --listen "unix:$work/bare.sock" --client-id 4000 --server $!   # microseconds for each
end_beside
: >"$work/faults"
start_server   # with the last network's 64 sessions
echo 'C_Sign take=100' >"$work/faults.new"; mv "$work/faults.new" "$work/faults"
"$bin/waiting_bench" --listen "unix:$work/assertiond.sock" --client-id rs256 --server "$server"
stop_server

"$root/tests/bench/peers.py" "$parts" ${json:+"$json"}
