#!/usr/bin/env bash
# Access tokens: GetAccessToken from memory beside an empty call of the same server, and the first token after a start
# beside curl with an assertion that is ready. Judges nothing: it measures.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/bench/access_tokens.sh [BIN_DIR] [--rounds N] [--seconds S] [--starts N] [--json FILE] [--short]
  BIN_DIR       as for tests/bench/run.sh
  --rounds N    how often the two calls take turns. Default: 7
  --seconds S   length of a turn. Default: 2
  --starts N    servers whose first token is timed. Default: 9
  --json FILE   where the figures of the two calls go as well
  --short       does everything once and as briefly as it can: whether it works
Exit status: 0 measured; 1 something did not work; 2 wrong usage.
USAGE
}
case ${1:-} in -h|--help) usage; exit 0 ;; esac

. "$(dirname "${BASH_SOURCE[0]}")/bench.bash"
rounds=7 seconds=2 starts=9 json=''
set -- "${arguments[@]}"
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --starts) starts=$2; shift ;;
    --json) json=$2; shift ;;
    --short) rounds=1 seconds=0.1 starts=1 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

# A token endpoint that costs next to nothing. It says its port on its first line.
/usr/bin/python3 - >"$work/endpoint.log" 2>"$work/endpoint.errors" <<'PYTHON' &
import http.server

class Endpoint(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['Content-Length']))
        answer = b'{"access_token":"%s","token_type":"Bearer","expires_in":86400}' % (b'x' * 800)
        self.send_response(200)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Endpoint)
print('port', server.server_port, flush=True)
server.serve_forever()
PYTHON
endpoint=$!
trap 'kill "$endpoint" 2>/dev/null || true; at_exit' EXIT
await "$endpoint" "$work/endpoint.log" port
token_endpoint=http://127.0.0.1:$(awk '{ print $2 }' "$work/endpoint.log")/token

bench() { "$bin/access_token_bench" --listen "unix:$work/assertiond.sock" --client-id orders "$@"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

new_token one
write_config orders=RS256
start_server
"$bin/assertionctl" key generate --client-id orders >"$work/key.log"
bench --server "$server" --rounds "$rounds" --seconds "$seconds" ${json:+--json "$json"}
stop_server
sed 's|"operators"|"audit": { "enabled": false }, "operators"|' "$work/assertiond.json" >"$work/unaudited.json"
mv "$work/unaudited.json" "$work/assertiond.json"
start_server
echo "without an audit log: $(bench --server "$server" --rounds "$rounds" --seconds "$seconds")"
stop_server

# What the identity server's answer takes in any case: curl, its start not counted.
with_curl() {
  local assertion
  assertion=$("$bin/assertionctl" assertion create --client-id orders)
  curl -sS --fail -o "$work/answer" -w '%{time_total}\n' "$token_endpoint" -d grant_type=client_credentials -d client_id=orders \
    --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
    --data-urlencode "client_assertion=$assertion" | awk '{ print $1 * 1000 }'
}
write_config orders=RS256
for ((i = 0; i < starts; i++)); do
  start_server
  bench --first >>"$work/first"
  with_curl >>"$work/curl"
  stop_server
done
column() { awk -v n="$1" '{ print $n }' "$work/first" | median; }
awk -v f="$(column 1)" -v a="$(column 2)" -v o="$(column 3)" -v c="$(median <"$work/curl")" 'BEGIN {
  printf "first token after a start: %.1f ms; curl with an assertion: %.1f ms; one assertion: %.1f ms; a new connection: %.1f ms; the rest: %.1f ms\n",
    f, c, a, o, f - c - a - o }'
