#!/usr/bin/env bash
# container_test.sh BIN_DIR: what deploy/container/Dockerfile's last stage holds, made by the same script and run in a
# chroot as its user, with SoftHSM2's module mounted: no Docker engine is asked.
# Last line: "N passed, N failed". Exit status 1 when a check failed. Needs root, and what install-deps.sh test installs.
set -euo pipefail
export LC_ALL=C.UTF-8 PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

[ $# = 1 ] || { echo "usage: tests/container_test.sh BIN_DIR" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "container_test: needs root" >&2; exit 1; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/container_test.XXXXXX")
root=$work/root server=''
at_exit() {
  if [ -n "$server" ]; then   # its child by name: what --kill-child asked of the kernel ends with a change of the user
    # shellcheck disable=SC2046
    kill -KILL $(cat "/proc/$server/task/$server/children" 2>/dev/null) "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf --one-file-system "$work"
}
trap at_exit EXIT
trap 'exit 130' INT; trap 'exit 143' TERM

. "$(dirname "${BASH_SOURCE[0]}")/support/check.bash"
no_shell() { ! find "$root" \( -name '*sh' -o -name 'busybox' -o -name 'perl*' -o -name 'python*' \) -type f | grep . ; }
nothing_set_user() { ! find "$root" -perm /6000 | grep . ; }

check "the root file system is gathered" "$here/../deploy/container/gather.sh" "$1" "$root"
check "it holds no shell" no_shell
check "and nothing that changes its user" nothing_set_user

# ---- what is mounted ----
module=$(find /usr/lib -name libsofthsm2.so -print -quit)
install -D "$module" "$root/opt/hsm/pkcs11.so"
mkdir -p "$root/dev" "$root/proc" "$root/var/lib/assertiond/tokens" "$root/run/secrets"
for device in null zero random urandom; do : >"$root/dev/$device"; done
echo '127.0.0.1 localhost' >"$root/etc/hosts"   # every engine mounts one
softhsm() { printf 'directories.tokendir = %s/var/lib/assertiond/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$1"; }
softhsm '' >"$root/etc/assertiond/softhsm2.conf"
softhsm "$root" >"$work/softhsm2.conf"
pin=$(openssl rand -hex 12)
SOFTHSM2_CONF=$work/softhsm2.conf softhsm2-util --init-token --free --label try --pin "$pin" --so-pin "$(openssl rand -hex 12)" \
  >"$work/softhsm2-util.log" 2>&1
install -m 440 -g 65532 <(echo "$pin") "$root/run/secrets/pin"   # as Kubernetes mounts it: root's, and its group's
chown -R 65532:65532 "$root/var/lib/assertiond"
cat >"$root/etc/assertiond/assertiond.json" <<'JSON'
{
  "hsm": "pkcs11:token=try?module-path=/opt/hsm/pkcs11.so&pin-source=file:/run/secrets/pin",
  "listen": "unix:/run/assertiond/assertiond.sock",
  "state_directory": "/var/lib/assertiond",
  "http_listen": "localhost:8080",
  "operators": [{ "caller": "uid:65532", "roles": ["operator"] }],
  "clients": [{ "client_id": "orders", "callers": ["uid:65532"], "audiences": ["https://localhost:9443/oauth2/token"] }]
}
JSON

# In namespaces of its own, so that the port is free and the mounts end with it.
inside='root=$1; shift
  mount --bind "$root" "$root"
  for device in null zero random urandom; do mount --bind "/dev/$device" "$root/dev/$device"; done
  mount -t proc proc "$root/proc"
  ip link set lo up 2>/dev/null || true
  exec chroot --userspec=65532:65532 --groups= "$root" /usr/sbin/assertiond --config /etc/assertiond/assertiond.json'
env -i SOFTHSM2_CONF=/etc/assertiond/softhsm2.conf PATH="$PATH" \
  setpriv --pdeathsig KILL unshare --mount --pid --net --fork --kill-child=KILL bash -euc "$inside" - "$root" >"$work/log" 2>&1 &
server=$!
serves() {
  local deadline=$((SECONDS + 30))
  until grep -q 'serving on unix:' "$work/log"; do
    kill -0 "$server" 2>/dev/null && [ $SECONDS -lt $deadline ] || { cat "$work/log"; return 1; }
    sleep 0.05
  done
}
ctl() {
  env -i SOFTHSM2_CONF=/etc/assertiond/softhsm2.conf PATH="$PATH" chroot --userspec=65532:65532 --groups= "$root" /usr/bin/assertionctl "$@"
}
verified() {
  local header claims signature
  ctl certificate get --client-id orders | openssl x509 -noout -pubkey >"$work/key"
  IFS=. read -r header claims signature < <(ctl assertion create --client-id orders)
  while [ $((${#signature} % 4)) != 0 ]; do signature+='='; done
  printf %s "$header.$claims" |
    openssl dgst -sha256 -verify "$work/key" -signature <(basenc --base64url -d <<<"$signature")
}
check "it serves, without a privilege, by names of hosts, too" serves
check "a key is made" ctl key generate --client-id orders
check "an assertion is made, and openssl verifies it" verified
check "doctor is content" ctl doctor --config /etc/assertiond/assertiond.json

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
