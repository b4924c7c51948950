#!/usr/bin/env bash
# Runs deploy/quickstart.sh as a newcomer would, in a home of its own, and looks at what it did and what it left behind.
# Last line: "N passed, N failed". Exit status 1 when a check failed. Needs what install-deps.sh build test installs.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
work=$(mktemp -d "${TMPDIR:-/tmp}/quickstart_test.XXXXXX")
state="$work/home/a state" kept=''
at_exit() {
  servers | while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap at_exit EXIT
trap 'exit 130' INT; trap 'exit 143' TERM

. "$(dirname "${BASH_SOURCE[0]}")/support/check.bash"

# ---- a home of its own, and witnesses in PATH that note how they were called ----
mkdir -p "$work/home" "$work/tmp" "$work/witness" "$work/seen"
export HOME=$work/home TMPDIR=$work/tmp
unset XDG_STATE_HOME SOFTHSM2_CONF ASSERTIOND_SERVER
for program in softhsm2-util script openssl; do
  cat >"$work/witness/$program" <<WITNESS
#!/bin/bash
for word in "\$0" "\$@"; do printf '%s\n' "\$word"; done >>"$work/seen/$program.argv"
cat /proc/self/environ >>"$work/seen/$program.environ"
if [ -e "$work/interrupt" ] && [ "$program \$1" = "\$(cat "$work/interrupt_at")" ]; then
  kill -TERM "\$(cat "$work/interrupt")"
fi
exec "$(command -v "$program")" "\$@"
WITNESS
done
chmod +x "$work/witness"/*
quickstart() { PATH=$work/witness:$PATH "$root/deploy/quickstart.sh" --state "$state" "$@" </dev/null; }
servers() {   # those that serve this test's states
  local cmdline
  for cmdline in /proc/[0-9]*/cmdline; do
    if tr '\0' '\n' 2>/dev/null <"$cmdline" | grep -qF -- "$work"; then
      cmdline=${cmdline#/proc/} && cmdline=${cmdline%/cmdline}
      [[ $(tr '\0' '\n' <"/proc/$cmdline/cmdline" | head -n 1) != */assertiond ]] || echo "$cmdline"
    fi
  done 2>/dev/null
}
none_running() { local found; found=$(servers); [ -z "$found" ] || { echo "still running: $found"; return 1; }; }
ends() {   # PID: within ten seconds
  local deadline=$((SECONDS + 10))
  while kill -0 "$1" 2>/dev/null; do [ $SECONDS -lt $deadline ] || return 1; sleep 0.05; done
}

# ---- secrets: exit status 0 and silence, or one line for each find ----
# Looks for the PIN, for anything that openssl or its own eyes take for a private key, and for a prime factor of the
# certificate's modulus in any encoding: raw of either byte order, hexadecimal, base64.
cat >"$work/secrets.py" <<'PY'
import base64, math, re, subprocess, sys
from cryptography import x509

certificate, pin_file, *paths = sys.argv[1:]
with open(certificate, "rb") as f:
    modulus = x509.load_pem_x509_certificate(f.read()).public_key().public_numbers().n
with open(pin_file, "rb") as f:
    pin = f.read().strip()
assert len(pin) >= 16 and paths
width = modulus.bit_length() // 16  # of a prime factor, in octets


def factor_in(octets):
    for view in (octets, octets[::-1]):
        for i in range(len(view) - width + 1):
            candidate = view[i : i + width]
            # Odd, and of full length: only then is the division worth while.
            if candidate[-1] & 1 and candidate[0] & 0x80:
                if modulus % int.from_bytes(candidate, "big") == 0:
                    return True
    return False


def decoded(octets):
    joined = re.sub(rb"(?:\\n|[\r\n\t :])", b"", octets)
    for text in {octets, joined}:
        for run in re.findall(rb"[0-9A-Fa-f]{%d,}" % (2 * width), text):
            for start in (0, 1):
                part = run[start:]
                yield bytes.fromhex(part[: len(part) // 2 * 2].decode())
        for run in re.findall(rb"[A-Za-z0-9+/_-]{%d,}" % width, text):
            for start in range(4):
                part = run[start:]
                part = part[: len(part) // 4 * 4]
                yield base64.b64decode(part.translate(bytes.maketrans(b"-_", b"+/")))


found = 0
for path in paths:
    with open(path, "rb") as f:
        octets = f.read()
    why = []
    if pin in octets or pin.hex().encode() in octets or base64.b64encode(pin)[:-4] in octets:
        why.append("the PIN")
    if re.search(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----", octets):
        why.append("a PEM private key")
    if re.search(rb'"kty"', octets) and re.search(rb'"(d|p|q|dp|dq|qi|k)"\s*:', octets):
        why.append("a private JWK")
    if octets[:1] == b"0":
        for form in ("pkey", "rsa", "ec"):
            command = ["openssl", form, "-inform", "DER", "-in", path, "-noout", "-passin", "pass:"]
            if subprocess.run(command, capture_output=True).returncode == 0:
                why.append("a DER private key")
                break
    if factor_in(octets) or any(factor_in(part) for part in decoded(octets)):
        why.append("a prime factor of the certificate's modulus")
    for reason in why:
        found = 1
        print(f"{path}: {reason}")
sys.exit(found)
PY
secrets_in() {   # STATE FILE...
  local state=$1
  shift
  /usr/bin/python3 -I "$work/secrets.py" "$state/certificate.pem" "$state/pin" "$@"
}
left_behind() {   # every file that a run may have written, but the PIN's own
  find "$work" -path "$work/planted" -prune -o -type f ! -path "$state/pin" ! -path "$work/secrets.py" -print0
  printf '%s\0' "$root/build/quickstart.log"
}
nothing_left_behind() {
  local files
  mapfile -d '' -t files < <(left_behind)
  [ ${#files[@]} -ge 10 ] && secrets_in "$state" "${files[@]}"
}

# ---- the finder of secrets finds them: otherwise its silence means nothing ----
planted=$work/planted
mkdir "$planted"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$planted/pem" -out "$planted/certificate.pem" -subj /CN=planted \
  2>/dev/null
openssl rand -hex 16 >"$planted/pin"
openssl pkey -in "$planted/pem" -outform DER -out "$planted/pkcs8.der"
openssl rsa -in "$planted/pem" -traditional -outform DER -out "$planted/pkcs1.der" 2>/dev/null
sed 1d "$planted/pem" | sed '$d' >"$planted/bare_base64"
printf 'x%s' "$(sed 1d "$planted/pem" | sed '$d' | tr -d '\n')" >"$planted/shifted_base64"
od -An -v -tx1 "$planted/pkcs1.der" | tr -d ' \n' >"$planted/hex"
{ head -c 1001 /dev/urandom; cat "$planted/pkcs1.der"; } >"$planted/inside"
printf '{"kty":"RSA","d":"AQAB"}' >"$planted/jwk"
printf 'x=%s;' "$(cat "$planted/pin")" >"$planted/pin_inside"
for kind in pem pkcs8.der pkcs1.der bare_base64 shifted_base64 hex inside jwk pin_inside; do
  check "the finder of secrets finds $kind" status_is 1 secrets_in "$planted" "$planted/$kind"
done
check "the finder of secrets passes a certificate" secrets_in "$planted" "$planted/certificate.pem"

# ---- what it refuses, before it does anything ----
check "--help" status_is 0 "$root/deploy/quickstart.sh" --help
check "an unknown argument is status 2" status_is 2 "$root/deploy/quickstart.sh" --kep
too_long=$work/$(printf '%0100d' 0)
says_limit() {
  refused "$root/deploy/quickstart.sh" --state "$too_long" >"$work/long" 2>&1 && grep -q 107 "$work/long" &&
    [ ! -e "$too_long" ]
}
check "a folder too long for a socket is refused, with the limit" says_limit
mkdir "$work/foreign" && echo mine >"$work/foreign/file"
check "a folder with something else in it is refused" status_is 1 "$root/deploy/quickstart.sh" --state "$work/foreign"
check "and stays as it was" test "$(ls "$work/foreign")" = file

# ---- the first run ----
run() {   # NAME ARGUMENT...: its output goes to a file that later checks read, and is shown when it fails
  local out=$work/out.$1
  shift
  quickstart "$@" >"$out" 2>&1 || { echo "exit status $?"; cat "$out"; return 1; }
}
in_order() { [ "$(grep -o '^\[[1-6]/6\]' "$1" | tr -d '\n')" = '[1/6][2/6][3/6][4/6][5/6][6/6]' ]; }
short_enough() { [ "$(wc -l <"$1")" -le 45 ] || { wc -l "$1"; return 1; }; }
mode_is() { [ "$(stat -c %a "$2")" = "$1" ] || { stat -c '%a %n' "$2"; return 1; }; }
witnessed() {   # softhsm2-util was called through the witnesses, and no witness saw the PIN
  [ -s "$work/seen/softhsm2-util.argv" ] && [ -s "$work/seen/script.environ" ] && secrets_in "$state" "$work"/seen/*
}
verified_elsewhere() {   # by Debian's python3-jwt, which shares no code with us
  /usr/bin/python3 -I - "$state" <<'PY'
import json, re, sys, time
import jwt
from cryptography import x509

state = sys.argv[1]
with open(state + "/assertion.jwt") as f:
    token = f.read()
assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII), "more than the JWT alone"
with open(state + "/certificate.pem", "rb") as f:
    pem = f.read()
assert pem.startswith(b"-----BEGIN CERTIFICATE-----\n") and b"\r" not in pem
with open(state + "/jwks.json") as f:
    keys = json.load(f)["keys"]
assert len(keys) == 1
audience = "https://localhost:9443/oauth2/token"
by_certificate = x509.load_pem_x509_certificate(pem).public_key()
by_jwks = jwt.PyJWK(keys[0]).key
assert by_certificate.public_numbers() == by_jwks.public_numbers() and by_jwks.key_size == 2048
for key in (by_certificate, by_jwks):
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=audience)
assert claims["iss"] == claims["sub"] == "orders" and claims["aud"] == audience and claims["jti"]
assert claims["exp"] - claims["iat"] == 300 and abs(claims["iat"] - time.time()) < 600 and "nbf" not in claims
assert jwt.get_unverified_header(token) == {"alg": "RS256", "kid": keys[0]["kid"], "typ": "JWT"}
PY
}

interrupted() {   # COMMAND STEP: by a signal when it calls that command, in that step
  echo "$1" >"$work/interrupt_at"
  PATH=$work/witness:$PATH "$root/deploy/quickstart.sh" --state "$state" </dev/null >"$work/out.interrupted" 2>&1 &
  echo $! >"$work/interrupt"
  local how=0
  status_is 143 wait $! || how=1
  rm "$work/interrupt"
  [ $how = 0 ] && [ "$(grep -o '^\[[1-6]' "$work/out.interrupted" | tail -n 1)" = "[$2" ]
}

check "a first run interrupted while it makes the token ends with status 143" interrupted "softhsm2-util --init-token" 3
began=$SECONDS
check "the first run, after that" run first
echo "        $((SECONDS - began)) s"
check "its six steps stand in order" in_order "$work/out.first"
check "its output is short" short_enough "$work/out.first"
check "it says that openssl verified the signature" grep -q 'openssl.*verified' "$work/out.first"
check "it shows the claims" grep -q '"iss":"orders"' "$work/out.first"
check "it shows the request" grep -q 'client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer' \
  "$work/out.first"
check "the folder is for its owner only" mode_is 700 "$state"
for file in pin assertion.jwt; do check "$file is for its owner only" mode_is 600 "$state/$file"; done
check "the assertion is good to python3-jwt" verified_elsewhere
check "no server is left" none_running
check "no socket is left" test ! -e "$state/assertiond.sock"
check "no secret was on a command line or in an environment" witnessed
check "no file has a secret but the PIN's" nothing_left_behind

# ---- the second: reuses, and keeps its server ----
cp "$state/certificate.pem" "$work/first.pem" || true
cp "$state/assertion.jwt" "$work/first.jwt" || true
began=$SECONDS
check "the second run, with --keep" run second --keep
echo "        $((SECONDS - began)) s"
check "it has the first run's key and certificate" cmp "$state/certificate.pem" "$work/first.pem"
check "it has an assertion of its own" refused cmp -s "$state/assertion.jwt" "$work/first.jwt"
check "the assertion is good to python3-jwt" verified_elsewhere
stop_command=$(grep -A1 '^Stop it:' "$work/out.second" | tail -n 1) || true
kept=$(servers)
is_one() { [[ $1 =~ ^[0-9]+$ ]] || { echo "not one server: $1"; return 1; }; }
check "one server is running" is_one "$kept"
shown=("/proc/$kept/cmdline")   # of a process that shields itself root alone sees the environment
if [ -r "/proc/$kept/environ" ]; then shown+=("/proc/$kept/environ"); fi
check "its command line and environment have no secret" secrets_in "$state" "${shown[@]}"
check "a line says how to stop it" test "$stop_command" = "  kill $kept"

# ---- beside the kept server ----
advised() {   # the commands that --keep shows, as they are shown
  local commands
  commands=$(sed -n 's/^  \(export PATH=.*\)/\1/p; s/^  \(assertionctl assertion create.*\)/\1/p' "$work/out.second")
  [ "$(wc -l <<<"$commands")" = 2 ] && bash -euc "$commands" && verified_elsewhere
}
check "the advised commands work" advised
check "a run beside the kept server" run third
check "it says that it reused the server" grep -q "\[4/6\].*reused.* $kept" "$work/out.third"
check "the kept server is still the one" test "$(servers)" = "$kept"
check "no file has a secret but the PIN's" nothing_left_behind
check "the stop command" bash -c "$stop_command"
check "stops it" ends "${kept:-none}"
check "no server is left" none_running
check "no socket is left" test ! -e "$state/assertiond.sock"
kept=''

# ---- what a newcomer does next, with the configuration alone: no variable of the quick start is set here ----
without_variables() { env -u SOFTHSM2_CONF "$root/build/quickstart/bin/$@"; }
doctor_is_content() { without_variables assertionctl doctor --config "$state/assertiond.json"; }
started_by_hand() {
  local pid how=0 deadline=$((SECONDS + 20))
  env -u SOFTHSM2_CONF "$root/build/quickstart/bin/assertiond" --config "$state/assertiond.json" >"$work/out.by_hand" 2>&1 &
  pid=$!
  until grep -qF 'serving on unix:' "$work/out.by_hand"; do
    kill -0 $pid 2>/dev/null && [ $SECONDS -lt $deadline ] || { cat "$work/out.by_hand"; return 1; }
    sleep 0.05
  done
  without_variables assertionctl key list --server "unix:$state/assertiond.sock" || how=1
  kill $pid && wait $pid && [ $how = 0 ]
}
check "doctor is content with the configuration" doctor_is_content
check "assertiond starts with the configuration" started_by_hand
again_command=$(grep -A1 '^Start it again' "$work/out.second" | tail -n 1) || true
started_again() {
  PATH=$work/witness:$PATH bash -c "$again_command" >"$work/out.again" 2>&1 </dev/null || { cat "$work/out.again"; return 1; }
  cmp "$state/certificate.pem" "$work/first.pem"
}
check "the command that starts it again" started_again
another_key() { without_variables assertionctl key generate --client-id orders --server "unix:$state/assertiond.sock"; }
check "another key is made" another_key
check "a run with two keys" run two_keys
one_key() { [ "$(grep '^key ' "$work/out.two_keys" | grep -o CKA_LOCAL | wc -l)" = 1 ] || { grep '^key ' "$work/out.two_keys"; return 1; }; }
check "shows the attributes of the key that signed" one_key
kept=$(servers)
check "it is stopped" bash -c "kill $kept"
check "and ends" ends "${kept:-none}"
kept=''

# ---- when things go wrong ----
check "a run interrupted at its last step ends with status 143" interrupted "openssl dgst" 6
check "and leaves no server" none_running
no_pin() { mv "$state/pin" "$work/pin.away" && refused run no_pin && grep -q "$state/pin" "$work/out.no_pin"; }
check "a lost PIN file is an error that names it" no_pin
mv "$work/pin.away" "$state/pin"
no_tokens() { mv "$state/tokens" "$work/tokens.away" && refused run no_tokens && grep -q "put the folder back" "$work/out.no_tokens"; }
cp "$state/pin" "$work/pin.copy"
check "a token's folder that is away is an error that names it" no_tokens
check "and its PIN stays" cmp "$state/pin" "$work/pin.copy"
rm "$work/pin.copy"
mv "$work/tokens.away" "$state/tokens"
no_config() {
  sed -i 's/"listen"/"lisen"/' "$state/assertiond.json" && refused run no_config && grep -q lisen "$work/out.no_config"
}
check "a server that does not start is an error that shows its log" no_config
check "and nothing of an earlier run's log" refused grep -q 'serving on unix:' "$work/out.no_config"
check "and leaves no server" none_running
sed -i 's/"lisen"/"listen"/' "$state/assertiond.json"
check "mended, it runs again" run mended
check "the log still has the reason of the failure" grep -q lisen "$state/assertiond.log"
check "the log is for its owner only" mode_is 600 "$state/assertiond.log"
truncate -s 1048577 "$state/assertiond.log"
check "with a log of more than 1 MiB, it runs again" run large_log
check "the long log is put aside" bash -c "[ \$(stat -c %s '$state/assertiond.log.old') = 1048577 ]"
check "and the new one has this run only" bash -c "[ \$(stat -c %s '$state/assertiond.log') -lt 1048576 ]"
check "both are for their owner only" bash -c "[ \$(stat -c %a '$state/assertiond.log' '$state/assertiond.log.old' | uniq) = 600 ]"
rm -f "$state/assertiond.log.old"
check "with the same key" cmp "$state/certificate.pem" "$work/first.pem"
check "no file has a secret but the PIN's" nothing_left_behind

# ---- with the configuration that a newcomer edits next ----
cp "$state/assertiond.json" "$work/assertiond.json" || true
edit() { sed -i "$1" "$state/assertiond.json"; }
says_claims() { grep -q "^claims  {\"iss\":\"$2\",\"sub\":\"$2\",\"aud\":\"$3\"" "$work/out.$1" || { cat "$work/out.$1"; return 1; }; }
renamed() {
  edit 's/"client_id": "orders"/"client_id": "shop"/' && run renamed --keep && says_claims renamed shop https://localhost:9443/oauth2/token &&
    grep -q 'Start it again' "$work/out.renamed"
}
check "with another client_id, --keep runs" renamed
check "one server is running" is_one "$(servers)"
moved() {   # while that server runs: it starts anew
  edit 's#"audiences": \[[^]]*\]#"audiences": ["https://is.example.com"], "profile": "keycloak", "kid": "none", "algorithm": "PS256"#' &&
    edit 's/"300s"/"60s"/' && run moved --keep && says_claims moved shop https://is.example.com &&
    grep -q 'first-token.md' "$work/out.moved" && refused grep -q 9443 "$work/out.moved"
}
check "with another audience, profile and algorithm, too" moved
kept=$(servers)
not_a_caller() {
  edit 's/"callers": \["uid:[0-9]*"\]/"callers": ["uid:4242"]/' && refused run stranger --keep &&
    grep -q "this failed: assertionctl assertion create" "$work/out.stranger"
}
check "where this user may not ask, it fails" not_a_caller
check "and the server stays, as another process" test "$(servers)" != "$kept"
kept=$(servers)
check "one server is running" is_one "$kept"
says_kill() { grep -q "kill $kept\$" "$work/out.stranger"; }
check "and a line says how to stop it" says_kill
broken() { edit 's/"listen"/"lisen"/' && refused run broken --keep && grep -q lisen "$work/out.broken" && [ "$(servers)" = "$kept" ]; }
check "a configuration with an error stops nobody" broken
check "it is stopped" bash -c "kill $kept"
check "and ends" ends "${kept:-none}"
kept=''
edit 's/"lisen"/"listen"/' || true
fresh_stranger() { refused run fresh --keep && [ "$(servers | wc -l)" = 1 ]; }
check "a server that this run started stays as well" fresh_stranger
kept=$(servers)
check "it is stopped" bash -c "kill $kept"
check "and ends" ends "${kept:-none}"
kept=''
cp "$work/assertiond.json" "$state/assertiond.json" || true

readme_commands() { awk '/^```sh$/ && !seen { inside = seen = 1; next } /^```$/ { inside = 0 } inside' "$root/README.md"; }
as_readme_says() {   # its first block, then everyday commands where that leads
  readme_commands >"$work/readme.sh" && grep -q quickstart.sh "$work/readme.sh" || return 1
  (cd "$root" && bash -euc ". '$work/readme.sh'; assertionctl status; assertionctl doctor --config assertiond.json" \
    </dev/null >"$work/out.default" 2>&1) || { tail -n 20 "$work/out.default"; return 1; }
  [ -s "$HOME/.local/state/assertiond/assertion.jwt" ]
}
check "README's commands, in the user's state folder" as_readme_says
kept=$(servers)
check "its server is stopped" bash -c "kill $kept"
check "and ends" ends "${kept:-none}"
kept=''

# ---- from a package, which is unpacked and not installed ----
package=$work/home/assertiond.deb
make_package() {   # FILE...: with these programs of the build
  local files=$work/package program
  rm -rf "$files" && mkdir -p "$files/DEBIAN" "$files/usr/sbin" "$files/usr/bin"
  printf '%s\n' 'Package: assertiond' 'Version: 0' 'Architecture: all' 'Maintainer: nobody <nobody@example.com>' \
    'Depends: libc6 (>= 2.36)' 'Description: for a test' >"$files/DEBIAN/control"
  for program; do cp "$root/build/quickstart/bin/${program##*/}" "$files/usr/$program"; done
  dpkg-deb --build --root-owner-group "$files" "$package" >/dev/null
}
from_package() {
  quickstart_of_package >"$work/out.package" 2>&1 && grep -q 'openssl.*verified' "$work/out.package" &&
    in_order "$work/out.package" && refused grep -q '\] build' "$work/out.package"
}
quickstart_of_package() { "$root/deploy/quickstart.sh" --state "$work/home/package" --package "$package" </dev/null; }
check "a package is made" make_package sbin/assertiond bin/assertionctl
check "--package runs its programs and compiles nothing" from_package
check "they lie in the state folder" test -x "$work/home/package/package/bin/assertiond"
check "no server is left" none_running
check "a package without assertionctl is made" make_package sbin/assertiond
not_ours() { refused quickstart_of_package >"$work/out.other" 2>&1 && grep -q 'no package of assertiond' "$work/out.other"; }
check "and refused" not_ours
check "a file that is no package is status 2" status_is 2 "$root/deploy/quickstart.sh" --package "$work/home/pin"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
