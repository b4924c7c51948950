#!/usr/bin/env bash
# From a fresh clone to a client assertion that `openssl` verifies: packages, build, SoftHSM2 token, server, key, JWT.
set -euo pipefail
export LC_ALL=C   # lengths in bytes, messages as documented

readonly module=/usr/lib/softhsm/libsofthsm2.so
client=orders audience=https://localhost:9443/oauth2/token   # those of assertiond.json, once that names others
readonly socket_path_limit=107   # sockaddr_un.sun_path, less its final zero
readonly log_limit=1048576        # bytes: a longer log is put aside when a server starts

usage() {
  cat <<USAGE
usage: deploy/quickstart.sh [--state DIR] [--package FILE] [--keep]

Builds assertiond for a first look (not optimised), makes a SoftHSM2 token in DIR, generates a key in it for the client
"$client", creates one assertion for $audience and verifies it with openssl. Again: reuses DIR,
with the client of DIR/assertiond.json (the first, unless one is "$client") and its first audience.

  --state DIR   where everything lives: token, PIN, configuration, log, results
                (default: \${XDG_STATE_HOME:-~/.local/state}/assertiond)
  --package FILE
                take the programs from this Debian package (deploy/package.sh) instead of building them. It is unpacked
                in DIR, not installed; the libraries that it depends on are installed
  --keep        leave the server running, and say how to stop it. One that runs already starts anew if its
                configuration was edited since
  --help        this text

Needs Debian 12 or 13, and root or sudo when packages are missing. To start anew, remove DIR: its keys are gone then.
Exit status: 0 verified; 1 a step failed, and said why; 2 wrong usage.
USAGE
}

wrong_usage() { echo "quickstart: $1 (see --help)" >&2; exit 2; }

state='' keep='' package=''
while [ $# -gt 0 ]; do
  case $1 in
    --state) [ -n "${2:-}" ] || wrong_usage "--state needs a folder"; state=$2; shift ;;
    --state=?*) state=${1#*=} ;;
    --package) [ -n "${2:-}" ] || wrong_usage "--package needs a file"; package=$2; shift ;;
    --package=?*) package=${1#*=} ;;
    --keep) keep=1 ;;
    -h|--help) usage; exit 0 ;;
    *) wrong_usage "unknown argument: $1" ;;
  esac
  shift
done
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
again=${state:+ --state $(printf '%q' "$(realpath -m -- "$state")")}   # what starts this state again
[ -n "$state" ] || state=${XDG_STATE_HOME:-${HOME:?is not set: give --state DIR}/.local/state}/assertiond
[[ $state == /* ]] || state=$PWD/$state
state=$(realpath -m -- "$state")
bin=$root/build/quickstart/bin
if [ -n "$package" ]; then
  [[ -f $package && -r $package && $package == *.deb ]] || wrong_usage "--package: $package is no .deb file that can be read"
  package=$(realpath -- "$package") bin=$state/package/bin again+=" --package $(printf '%q' "$package")"
fi
readonly root state keep package bin again

# ---- what it prints: one line a step, its seconds at the end ----
step=0 step_began=0 line_open=''
begin() { step=$((step + 1)) step_began=$SECONDS line_open=1; printf '[%d/6] %s' "$step" "$1"; }
finish() { printf '%s (%d s)\n' "${1:+: $1}" $((SECONDS - step_began)); line_open=; }
die() {   # MESSAGE [FILE [LINES [FROM_OCTET]]]
  [ -z "$line_open" ] || printf '\n'
  line_open=
  echo "quickstart: $1" >&2
  [ $# -lt 2 ] || { echo "---- the end of $2:" >&2; tail -c "+${4:-1}" "$2" | tail -n "${3:-25}" >&2 || true; }
  exit 1
}

server='' serving=''   # the process that this run started, and ends; one that serves, whoever started it
stop() {   # PID: asks a server to end and waits until it has
  kill -TERM "$1" 2>/dev/null || return 0
  local deadline=$((SECONDS + 15))
  while [ -d "/proc/$1" ] && [[ $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) == [!Z]* ]]; do
    [ $SECONDS -lt $deadline ] || { echo "quickstart: the server (process $1) does not stop" >&2; return 1; }
    sleep 0.05
  done
}
at_exit() {
  local status=$?
  [ -z "$line_open" ] || printf '\n'
  if [ $status = 1 ] && [ -n "$keep" ] && [ -n "$serving" ]; then   # it serves, whatever a key or an assertion lacks
    server=''
    echo "quickstart: the server stays: process $serving on unix:$socket; stop it with: kill $serving" >&2
  fi
  [ -z "$server" ] || { stop "$server" && rm -f "$state/assertiond.pid"; } || true
}
trap at_exit EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

# ---- a folder that can hold a state ----
case $state in
  *[[:cntrl:]\"\\#]*) die "the state folder's name must not hold control characters, \" \\ or # : $state" ;;
esac
socket=$state/assertiond.sock
[ ${#socket} -le $socket_path_limit ] || die "the state folder's name is too long: a Unix socket's path is limited to
            $socket_path_limit bytes, and $socket
            has ${#socket}. Give a shorter one: --state DIR"
if [ -d "$state" ] && [ ! -e "$state/quickstart.lock" ] && [ -n "$(ls -A -- "$state" 2>&1)" ]; then
  die "$state is in use for something else: give an empty or a new folder with --state"
fi
(umask 077 && mkdir -p -- "$state") || die "cannot make the folder $state"
[[ -O $state && -w $state ]] || die "$state belongs to $(stat -c %U -- "$state"): run as that user, or give --state DIR"
chmod 700 -- "$state"
exec 9>"$state/quickstart.lock"
flock -n 9 || die "another quick start is at work on $state"

# ---- 1 packages ----
begin "packages"
"$root/deploy/install-deps.sh" "${package:-build}" 2>&1 9>&- | while IFS= read -r line; do
  line=${line#install-deps: }
  [[ $line != installing* ]] || line=${line%%:*}   # without the long list
  printf '\n      %s' "$line"
done || die "packages are missing, see above"
finish

# ---- 2 build, or the package's programs ----
# Reads the build's output. Shows how far it is: on a terminal every second, elsewhere at each fifth.
progress() {
  local line='' part='' percent=0 shown=0 status
  while true; do
    status=0
    IFS= read -r -t 1 part || status=$?
    line+=$part
    if [ $status -gt 128 ]; then   # a second without a whole line
      :
    elif [ $status != 0 ]; then
      break
    else
      [ "$line" != "build: failed" ] || return 1
      [[ ! $line =~ ^\ *([0-9]+)%\  ]] || percent=${BASH_REMATCH[1]}
      line=
    fi
    if [ -t 1 ]; then
      printf '\r[%d/6] build %d%%, %d s' "$step" "$percent" $((SECONDS - step_began))
    elif [ "$percent" -ge $((shown + 20)) ]; then
      shown=$((percent / 20 * 20)); printf ' %d%%' $shown
    fi
  done
  [ ! -t 1 ] || printf '\r[%d/6] build\033[K' "$step"
}
build_programs() {
  mkdir -p "$root/build" 2>/dev/null || true
  [ -w "$root/build" ] || die "cannot write $root/build: clone the project as this user"
  log=$root/build/quickstart.log
  exec 8>"$root/build/quickstart.lock"
  flock 8   # two builds in one folder would spoil each other
  compile() {
    (cd "$root" && cmake --preset quickstart && NINJA_STATUS='%p ' cmake --build --preset quickstart) \
      2>&1 8>&- 9>&-
  }
  { compile || echo "build: failed"; } | tee "$log" | progress || {
    line_open=; printf '\n'
    grep -E 'error:|CMake Error|FAILED:' "$log" | head -n 5 || true
    die "the build failed" "$log" 15
  }
  exec 8>&-
}
unpack_programs() {
  local sum new=$state/package.new
  sum=$(sha256sum <"$package")
  [ "$(cat "$state/package/sum" 2>/dev/null)" != "$sum" ] || return 0
  rm -rf "$new" && mkdir -p "$new/bin" && dpkg-deb -x "$package" "$new/files" ||
    die "the package cannot be unpacked: $package"
  mv "$new/files/usr/sbin/assertiond" "$new/files/usr/bin/assertionctl" "$new/bin/" ||
    die "this is no package of assertiond: $package"
  rm -rf "$new/files"
  echo "$sum" >"$new/sum"
  rm -rf "$state/package" && mv "$new" "$state/package"
}
if [ -n "$package" ]; then
  begin "package"
  unpack_programs
else
  begin "build"
  build_programs
fi
finish

# ---- 3 token ----
umask 077
begin "token"
cd -- "$state"
export SOFTHSM2_CONF=$state/softhsm2.conf   # Debian's own is closed to users outside the group softhsm
softhsm_configuration() {   # TOKEN_FOLDER
  printf '%s\n' "directories.tokendir = $1" "objectstore.backend = file" "log.level = ERROR" "slots.removable = false"
}
if [ -d tokens ]; then
  [ -f pin ] || die "the token in $state/tokens has lost its PIN file, $state/pin:
            put it back, or remove $state to start anew"
  made="reused"
elif [ -f pin ] && [ -e audit.log ]; then   # a server has run here: its keys are in that folder
  die "the token's folder $state/tokens is away, and its keys open with $state/pin alone:
            put the folder back, or remove $state to start anew"
else
  # A token appears under its name only when it is whole: an interrupted run leaves tokens.new, which is made again.
  rm -rf tokens.new && mkdir tokens.new
  softhsm_configuration "$state/tokens.new" >softhsm2.conf
  pin=$(openssl rand -hex 16)
  so_pin=$(openssl rand -hex 16)   # kept nowhere: nothing here needs it, and whoever has it can set another PIN
  printf '%s\n' "$pin" >pin
  # softhsm2-util takes PINs from its command line, which every user can read, or from a terminal: give it a terminal.
  said=$(printf '%s\n' "$so_pin" "$so_pin" "$pin" "$pin" |
    SHELL=/bin/sh timeout 60 \
      script -E never -qec 'softhsm2-util --init-token --free --label quickstart' /dev/null 2>&1 9>&-) ||
    { said=${said//"$pin"/(PIN)}; die "softhsm2-util cannot make a token: ${said//"$so_pin"/(SO PIN)}"; }
  unset pin so_pin said
  mv tokens.new tokens
  made="made, with a random PIN"
fi
softhsm_configuration "$state/tokens" >softhsm2.conf

uri_path() {   # percent-encodes what RFC 7512 does not allow in an attribute's value
  local text=$1 i c
  for ((i = 0; i < ${#text}; i++)); do
    c=${text:i:1}
    case $c in [A-Za-z0-9._~/-]) printf '%s' "$c" ;; *) printf '%%%02X' "'$c" ;; esac
  done
}
if [ ! -e assertiond.json ]; then
  cat >assertiond.json.new <<JSON
{
  "hsm": {
    "uri": "pkcs11:token=quickstart?module-path=$module&pin-source=file:$(uri_path "$state/pin")",
    "environment": { "SOFTHSM2_CONF": "$SOFTHSM2_CONF" }
  },
  "listen": "unix:$socket",
  "state_directory": "$state",
  "operators": [ { "caller": "uid:$(id -u)", "roles": ["operator"] } ],
  "clients": [
    {
      "client_id": "$client",
      "callers": ["uid:$(id -u)"],
      "audiences": ["$audience"],
      "default_lifetime": "300s"
    }
  ]
}
JSON
  mv assertiond.json.new assertiond.json
elif ! grep -qF -- "\"unix:$socket\"" assertiond.json; then
  die "$state/assertiond.json does not listen on unix:$socket: was the folder moved or the file edited?
            Mend it, or remove it to have it written again"
fi
mapfile -t clients < <(tr '\n' ' ' <assertiond.json | grep -oE '"client_id" *: *"[^"\]+"' | sed -E 's/^.*: *"(.*)"$/\1/')
printf '%s\n' "${clients[@]}" | grep -qxF -- "$client" || client=${clients[0]:-$client}
finish "$made"

# ---- 4 server ----
begin "server"
log=$state/assertiond.log kept='' running=''
# By its command line: assertiond shields itself, so that /proc/PID/exe is root's alone to read.
program=$(stat -c %i:%Y "$bin/assertiond")
if read -r running started_program 2>/dev/null <assertiond.pid &&
   tr '\0' '\n' 2>/dev/null <"/proc/$running/cmdline" |
   cmp -s - <(printf '%s\n' "$bin/assertiond" --config "$state/assertiond.json"); then
  kept=1
  if [ "$started_program" != "$program" ] || [ assertiond.json -nt assertiond.pid ]; then   # built anew, or edited, since
    said=$("$bin/assertiond" --check-config "$state/assertiond.json" 2>&1 9>&-) || { serving=$running; die "$said"; }
    stop "$running" || die "stop it, then run this again"
    running=
  fi
else
  running=
fi
if [ -n "$running" ]; then
  finish "reused, process $running was left running by an earlier --keep"
else
  [ ! -e "$log" ] || [ "$(stat -c %s "$log")" -le $log_limit ] || mv -f "$log" "$log.old"
  : >>"$log"   # appended to, so that the reason of an earlier failure stays
  # A session of its own: a Ctrl-C here, or the end of this terminal, must not reach a server that is to be kept.
  from=$(($(stat -c %s "$log") + 1))   # the wait below must not find an earlier run's line
  setsid "$bin/assertiond" --config "$state/assertiond.json" >>"$log" 2>&1 </dev/null 9>&- &
  server=$!
  echo "$server $program" >assertiond.pid
  deadline=$((SECONDS + 30))
  until grep -qF 'serving on unix:' <(tail -c "+$from" "$log"); do
    if ! kill -0 "$server" 2>/dev/null; then
      status=0; wait "$server" || status=$?
      server=; rm -f assertiond.pid
      die "assertiond ended with status $status" "$log" 25 "$from"
    fi
    [ $SECONDS -lt $deadline ] || die "assertiond does not serve after 30 s" "$log" 25 "$from"
    sleep 0.05
  done
  running=$server
  [ -z "$kept" ] || server=   # it replaces one that was to be kept
  finish "process $running on unix:$socket"
fi
serving=$running

# ---- 5 key, certificate, JWK Set ----
begin "key"
export ASSERTIOND_SERVER=unix:$socket
ctl() { "$bin/assertionctl" "$@" 9>&- || die "this failed: assertionctl $*"; }
key_made="reused"
keys=$(ctl key list --client-id "$client" --json)
if ! grep -q '"kid"' <<<"$keys"; then
  ctl key generate --client-id "$client" >/dev/null
  key_made="generated in the token"
fi
ctl certificate get --client-id "$client" >certificate.pem
ctl jwks get --client-id "$client" >jwks.json
finish "$key_made"

# ---- 6 assertion, verified by a program that is not ours ----
begin "assertion"
jwt=$(ctl assertion create --client-id "$client")
printf '%s' "$jwt" >assertion.jwt   # no line end: a form value of it must not have one either
IFS=. read -r header claims signature <<<"$jwt"
from_base64url() {
  local text=$1
  while [ $((${#text} % 4)) != 0 ]; do text+='='; done
  basenc --base64url -d <<<"$text"
}
case $(from_base64url "$header") in
  *'"alg":"RS256"'*)
    said=$(printf '%s' "$header.$claims" | openssl dgst -sha256 -verify <(openssl x509 -in certificate.pem -noout -pubkey) \
      -signature <(from_base64url "$signature") 2>&1) || die "openssl does not verify the assertion: $said"
    finish "openssl says: signature verified with certificate.pem" ;;
  *)   # openssl's command line would need the options, and for ECDSA the form, of each algorithm
    ctl assertion inspect assertion.jwt --certificate certificate.pem >/dev/null
    finish "assertionctl says: signature verified with certificate.pem" ;;
esac
aud=$(from_base64url "$claims" | sed -nE 's/.*"aud":"([^"]+)".*/\1/p')

report=$("$bin/assertionctl" doctor --config "$state/assertiond.json" --client-id "$client" --verbose 9>&-) ||
  die "assertionctl doctor is not content: $report"
kid=$(ctl key show --client-id "$client" --json | sed -nE 's/.*"kid": *"([A-Za-z0-9_-]+)".*/\1/p' | head -n 1)   # of several
proof=$(sed -nE "s/^ok +client .*: key ($kid): (CKA_((ALWAYS_)?SENSITIVE|(NEVER_)?EXTRACTABLE|LOCAL) (true|false))\$/\2/p" \
  <<<"$report" | paste -sd, | sed 's/,/, /g')
[ -n "$proof" ] || die "assertionctl doctor says nothing of the key: $report"
quoted() { printf '%q' "$1"; }
cat <<REPORT

header  $(from_base64url "$header")
claims  $(from_base64url "$claims")
key     $proof

Files in $state
  certificate.pem  jwks.json  assertion.jwt  assertiond.json  assertiond.log  pin  softhsm2.conf  tokens/
REPORT
request="--token-endpoint $audience"
if [ "$aud" != "$audience" ]; then
  request="--issuer URL"
  cat <<EDITED

The client is that of assertiond.json. $root/deploy/docs/first-token.md says for several identity servers
what to register, and how to ask for a token.
EDITED
else
  cat <<REGISTER

WSO2 Identity Server (the application's client id must be "$client", or change clients[].client_id in assertiond.json)
  Console: Applications > the application > Protocol: Private Key JWT as client authentication, certificate.pem as
           certificate
  or API:  PATCH /api/server/v1/applications/{id} with {"advancedConfigurations":{"certificate":{"type":"PEM",
           "value":"(the text of certificate.pem)"}}}
  Leave the request object's and the assertion's signing algorithm unset (IS 7.0 to 7.3 refuse RS256 when it is pinned).

Ask for a token with this assertion (identity servers accept each one once, and this one for 5 minutes):
  curl $audience \\
    --data grant_type=client_credentials --data client_id=$client \\
    --data client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \\
    --data-urlencode client_assertion@$(quoted "$state/assertion.jwt")
REGISTER
fi

if [ -n "$keep" ] || [ -z "$server" ]; then
  server=
  cat <<KEPT

The server is still running. Try next:
  export PATH=$(quoted "$bin"):\$PATH ASSERTIOND_SERVER=$(quoted "unix:$socket")
  assertionctl assertion create --client-id $client | tr -d '\\n' >$(quoted "$state/assertion.jwt")   # then curl
  assertionctl token request --client-id $client $request
  assertionctl --help
Start it again later, with the same key:
  $(quoted "$root/deploy/quickstart.sh") --keep$again
Stop it:
  kill $running
KEPT
else
  cat <<STOPPED

A fresh assertion for every request: run this again with --keep, which leaves the server running and shows how.
STOPPED
fi
