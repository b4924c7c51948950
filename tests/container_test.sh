#!/usr/bin/env bash
# container_test.sh BIN_DIR: what deploy/container/Dockerfile's last stage holds, made by the same script and run in a
# chroot as its user, with SoftHSM2's module and what the kubelet mounts for deploy/kubernetes: neither Docker nor a cluster
# is asked.
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
base=$here/../deploy/kubernetes
install -D "$module" "$root/opt/hsm/lib/pkcs11.so"
mkdir -p "$root/dev" "$root/proc" "$root/var/lib/assertiond/tokens" "$root/run/secrets/assertiond" "$root/run/tls"
for device in null zero random urandom; do : >"$root/dev/$device"; done
echo '127.0.0.1 localhost' >"$root/etc/hosts"   # every engine mounts one
softhsm() { printf 'directories.tokendir = %s/var/lib/assertiond/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$1"; }
softhsm '' >"$root/etc/assertiond/softhsm2.conf"
softhsm "$root" >"$work/softhsm2.conf"
pin=$(openssl rand -hex 12)
SOFTHSM2_CONF=$work/softhsm2.conf softhsm2-util --init-token --free --label try --pin "$pin" --so-pin "$(openssl rand -hex 12)" \
  >"$work/softhsm2-util.log" 2>&1
install -m 440 -g 65532 <(echo "$pin") "$root/run/secrets/assertiond/pin"   # with fsGroup: root's, and its group's
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=callers -keyout /dev/null -out "$root/run/tls/client-ca.pem" 2>/dev/null
chown -R 65532:65532 "$root/var/lib/assertiond"
chown 0:65532 "$root/var/lib/assertiond" "$root/run/tls" "$root/run/assertiond"   # volumes with fsGroup, by the kubelet
chmod 2775 "$root/var/lib/assertiond"   # a claim
chmod 2777 "$root/run/tls"   # an emptyDir, that of the job tls-key
chmod 3777 "$root/run/assertiond"   # an emptyDir of medium Memory
# The base's own configuration, with a name of a host in it.
sed '1,/assertiond.json: |/d; s/^    //; s/token=CHANGE-ME/token=try/; s/CHANGE-ME/orders/
  s/"callers": \[/&"uid:65532", /; s/"http_listen": "0.0.0.0/"http_listen": "localhost/' "$base/configuration.yaml" \
  >"$root/etc/assertiond/assertiond.json"
server_address=$(sed -n 's/.*name: ASSERTIOND_SERVER, value: "\(.*\)" }$/\1/p' "$base/stateful-set.yaml")
ctl() {
  env -i SOFTHSM2_CONF=/etc/assertiond/softhsm2.conf ASSERTIOND_SERVER="$server_address" PATH="$PATH" \
    chroot --userspec=65532:65532 --groups= "$root" /usr/bin/assertionctl "$@"
}
check "the key of TLS is made" ctl tls generate --config /etc/assertiond/assertiond.json --san DNS:assertiond.assertiond

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
verified() {
  local header claims signature
  ctl certificate get --client-id orders | openssl x509 -noout -pubkey >"$work/key"
  IFS=. read -r header claims signature < <(ctl assertion create --client-id orders)
  while [ $((${#signature} % 4)) != 0 ]; do signature+='='; done
  printf %s "$header.$claims" |
    openssl dgst -sha256 -verify "$work/key" -signature <(basenc --base64url -d <<<"$signature")
}
check "it serves with the configuration of deploy/kubernetes, without a privilege, by names of hosts, too" serves
check "a key is made" ctl key generate --client-id orders
check "an assertion is made, and openssl verifies it" verified
check "doctor is content" ctl doctor --config /etc/assertiond/assertiond.json

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
