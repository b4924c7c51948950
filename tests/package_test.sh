#!/usr/bin/env bash
# package_test.sh DEB: installs the package on a bare system of this machine's own release and runs the service there as
# its operator will: systemd boots in a container (systemd-nspawn), and nothing of its sandbox is left out.
# Last line: "N passed, N failed". Exit status 1 when a check failed. Needs root, and what install-deps.sh test installs.
set -euo pipefail
export LC_ALL=C.UTF-8 PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

[ $# = 1 ] && [ -f "$1" ] || { echo "usage: tests/package_test.sh DEB" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "package_test: needs root: it boots a container" >&2; exit 1; }
deb=$(realpath -- "$1")
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
work=$(mktemp -d "${TMPDIR:-/var/tmp}/package_test.XXXXXX")
root=$work/root container='' leader=''
at_exit() {
  [ -z "$container" ] || { kill -KILL "$leader" 2>/dev/null || true; wait "$container" 2>/dev/null || true; }
  rm -rf --one-file-system "$work"
}
trap at_exit EXIT
trap 'exit 130' INT; trap 'exit 143' TERM

. "$(dirname "${BASH_SOURCE[0]}")/support/check.bash"
within() {   # SECONDS COMMAND...: until it succeeds
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do [ $SECONDS -lt $deadline ] || return 1; sleep 0.1; done
}

# ---- a bare system, bootstrapped once and kept as an archive ----
bootstrap() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/assertiond/$suite-$(dpkg --print-architecture)-1.tar
  if [ ! -s "$cache" ]; then
    mkdir -p "${cache%/*}"
    # The machine's own sources for its own release, and how it reaches them.
    apt-get indextargets --no-release-info --format 'deb [signed-by=$(SIGNED_BY)] $(REPO_URI) $(RELEASE) $(COMPONENT)' \
      'Identifier: Packages' | awk -v s="$suite" '$4 ~ "^" s "(-|$)"' |
      sed -E 's/ \[signed-by=(\$\(SIGNED_BY\))?\]//' | sort -u >"$work/sources.list"   # apt 2.6 leaves the name of what it does not know
    apt-config dump | grep -E '^Acquire::[a-z]+::(Proxy|CAInfo|Verify)' >"$work/apt.conf" || true
    mmdebstrap --variant=apt --include=systemd-sysv,softhsm2,openssl --dpkgopt=force-unsafe-io \
      --aptopt="$work/apt.conf" --format=tar "$suite" "$cache.part" "$work/sources.list"
    mv "$cache.part" "$cache"
  fi
  mkdir "$root" && tar -C "$root" --numeric-owner --xattrs -xpf "$cache"
  cp -L /etc/resolv.conf "$root/etc/resolv.conf"
}
in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
install_package() {
  cp "$deb" "$root/root/assertiond.deb" && in_root apt-get -q update &&
    in_root apt-get -q install -y --no-install-recommends /root/assertiond.deb dbus   # dbus: for systemd-run
}
bootstrap >"$work/bootstrap.log" 2>&1 ||
  { tail -n 25 "$work/bootstrap.log"; echo "package_test: no bare $suite system can be made"; exit 1; }
check "it installs on a bare $suite, with what it depends on" install_package

# ---- what it brought ----
page() { zcat "$root/usr/share/man/man${1##*.}/$1.gz"; }
page_is_clean() { local said; said=$(page "$1" | groff -man -ww -z -Tutf8 -Kutf8 2>&1) && [ -z "$said" ] || { echo "$said"; false; }; }
page_says_all() {   # every noun and verb, and every exit status
  local text noun
  text=$(page assertionctl.1 | sed 's/\\-/-/g')
  for noun in $(in_root assertionctl --help | sed -n '/^Subcommands:/I,/^$/s/^  \([a-z0-9-]*\) .*/\1/p'); do
    grep -qF ".SS \"assertionctl $noun\"" <<<"$text" || { echo "no $noun"; return 1; }
  done
  [[ $text == *'.SS "assertionctl key evidence verify"'* && $text == *--expected-version* ]] &&
    [ "$(page assertiond.8 | grep -cE '^  [0-9]+ ')" = "$(in_root assertiond --help | grep -cE '^  [0-9]+ ')" ]
}
exposure_is_low() { in_root systemd-analyze security --offline=yes --threshold=12 --no-pager assertiond.service; }
statuses_are_documented() {
  local status help
  help=$(in_root assertiond --help)
  for status in $(sed -n 's/^RestartPreventExitStatus=//p' "$root/usr/lib/systemd/system/assertiond.service"); do
    grep -qE "^  $status +[a-z]" <<<"$help" || { echo "status $status is not in --help"; return 1; }
  done
}
only_its_own_links() { refused grep -E 'not found' <(in_root ldd /usr/sbin/assertiond /usr/bin/assertionctl); }
check "the programs find their libraries" only_its_own_links
for file in assertiond.8 assertionctl.1; do check "the manual page $file has no warning" page_is_clean "$file"; done
check "the manual pages say what --help says" page_says_all
for file in zsh/vendor-completions/_assertionctl fish/vendor_completions.d/assertionctl.fish; do
  check "completion: $file is there" grep -q 'assertionctl complete ' "$root/usr/share/$file"
done
links_lead_somewhere() {   # relative links of every installed page; what is compressed counts as what it holds
  local page link missing=0 pages=0
  while IFS= read -r -d '' page; do
    pages=$((pages + 1))
    while IFS= read -r link; do
      link=$(dirname "$page")/${link%%#*}
      [ -e "$link" ] || [ -e "$link.gz" ] || { echo "$page: $link"; missing=1; }
    done < <(zcat -f "$page" | grep -oE '\]\([^)]+\)' | sed -E 's/^\]\(|\)$//g' | grep -vE '^(https?:|#)')
  done < <(find "$root/usr/share/doc/assertiond" \( -name '*.md' -o -name '*.md.gz' \) -print0)
  [ "$pages" -gt 30 ] && [ $missing = 0 ]
}
check "the links of the installed pages lead somewhere" links_lead_somewhere
for file in prometheus/assertiond.rules.yml grafana/assertiond.json; do
  check "$file is there" test -s "$root/usr/share/assertiond/$file"
done
check "systemd rates the sandbox 1.2 or better" exposure_is_low
check "systemd finds no fault in the unit" in_root systemd-analyze verify --man=no assertiond.service
check "the statuses that are not restarted are those of --help" statuses_are_documented
check "the service is not started before it is configured" test ! -e "$root/etc/systemd/system/multi-user.target.wants/assertiond.service"

# ---- configured as the README says, on a token of SoftHSM2 ----
pin=$(openssl rand -hex 12)
configure() {
  sed -i 's/token=CHANGE-ME/token=prod/; s/CHANGE-ME/orders/; s/"callers": \[/&"user:games", /; s/"operators"/"listen_group": "assertiond", &/' "$root/etc/assertiond/assertiond.json"
  install -m 600 <(echo "$pin") "$root/etc/assertiond/pin"
  printf 'directories.tokendir = /var/lib/assertiond/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' \
    >"$root/etc/assertiond/softhsm2.conf"
  mkdir -p "$root/etc/systemd/system/assertiond.service.d"
  # A shorter watchdog than the unit's, so that the test need not wait for that.
  printf '[Service]\nEnvironment=SOFTHSM2_CONF=/etc/assertiond/softhsm2.conf\nWatchdogSec=3s\n' \
    >"$root/etc/systemd/system/assertiond.service.d/test.conf"
  in_root install -d -m 700 -o assertiond -g assertiond /var/lib/assertiond /var/lib/assertiond/tokens
  in_root env SOFTHSM2_CONF=/etc/assertiond/softhsm2.conf setpriv --reuid assertiond --regid assertiond --clear-groups \
    softhsm2-util --init-token --free --label prod --pin "$pin" --so-pin "$(openssl rand -hex 12)"
}
check "it is configured" configure

boot() {
  systemd-nspawn --directory="$root" --register=no --keep-unit --boot --private-network --console=pipe \
    </dev/null >"$work/console.log" 2>&1 &
  container=$!
  within 20 booted
}
booted() { leader=$(cat "/proc/$container/task/$container/children" 2>/dev/null) && leader=${leader% } && [ -n "$leader" ]; }
inside() { nsenter --target "$leader" --all env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
running() { [[ $(inside systemctl is-system-running --wait 2>&1) =~ ^(running|degraded)$ ]]; }
boot || { cat "$work/console.log"; echo "package_test: systemd-nspawn does not start"; exit 1; }
check "systemd boots in a container" within 60 running

show() { inside systemctl show assertiond.service --value --property "$1"; }
is() { [ "$(show "$1")" = "$2" ] || { inside systemctl status --no-pager --lines=20 assertiond.service; return 1; }; }
journal() { inside journalctl --no-pager --output=cat --unit=assertiond.service; }
signs() {   # openssl of the bare system verifies it
  inside assertionctl assertion create --client-id orders >"$root/root/jwt" &&
    inside assertionctl certificate get --client-id orders --out /root/certificate.pem &&
    inside bash -euc 'cd /root; IFS=. read -r header claims signature <jwt
      while [ $((${#signature} % 4)) != 0 ]; do signature+="="; done
      basenc --base64url -d <<<"$signature" >signature; openssl x509 -in certificate.pem -noout -pubkey >key
      printf %s "$header.$claims" | openssl dgst -sha256 -verify key -signature signature'
}
completes() {   # WORDS EXPECTED: the last word is the one being typed
  local words=($1)
  [[ $1 != *' ' ]] || words+=('')
  [ "$(inside bash -c '. /usr/share/bash-completion/completions/assertionctl
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _assertionctl; echo "${COMPREPLY[*]}"' - "${words[@]}")" = "$2" ]
}
restarted() { local now; now=$(show MainPID) && [ "$now" != 0 ] && [ "$now" != "$1" ] && [ "$(show ActiveState)" = active ]; }
user_is() { [ "$(inside stat -c %U "/proc/$(show MainPID)")" = "$1" ]; }
check "the service starts" inside systemctl start assertiond.service
check "as its own user" user_is assertiond
check "and says that it serves" is StatusText serving
check "a key is made" inside assertionctl key generate --client-id orders
check "completion: a noun" completes "assertionctl ke" key
check "completion: its verb" completes "assertionctl key evidence ve" verify
check "completion: an option's values" completes "assertionctl key generate --bits " "2048 3072 4096"
check "completion: a client id" completes "assertionctl key show --client-id o" orders
check "an assertion is made, and openssl verifies it" signs
socket_group=$(in_root id -g assertiond)
known_callers() {   # another user is known as itself: a user namespace would make him nobody
  inside setpriv --reuid games --regid games --groups "$socket_group" assertionctl assertion create --client-id orders
}
check "another user is known by its own number" known_callers
group_of_its_own() {   # as the page of the callers says
  local page; page=$(dirname "${BASH_SOURCE[0]}")/../deploy/docs/callers-and-operators.md
  sed -n '/^```ini$/,/^```$/{/^```/d; s/backends/games/; p}' "$page" >"$root/etc/systemd/system/assertiond.service.d/group.conf"
  sed -i.group 's/"listen_group": "assertiond"/"listen_group": "games"/' "$root/etc/assertiond/assertiond.json"
  inside systemctl daemon-reload && inside systemctl restart assertiond.service &&
    inside setpriv --reuid games --regid games --clear-groups assertionctl assertion create --client-id orders
}
own_group_again() {
  rm "$root/etc/systemd/system/assertiond.service.d/group.conf"
  mv "$root/etc/assertiond/assertiond.json.group" "$root/etc/assertiond/assertiond.json"
  inside systemctl daemon-reload && inside systemctl restart assertiond.service && inside systemctl reset-failed assertiond.service
}
check "listen_group: a group that is not the server's own, with the page's drop-in" group_of_its_own
check "and the server's own again" own_group_again
secret_is_nowhere() {
  refused inside grep -qF "$pin" "/proc/$(show MainPID)/cmdline" "/proc/$(show MainPID)/environ" && refused grep -qF "$pin" <(journal)
}
check "the PIN is in no command line, environment or journal" secret_is_nowhere

# ---- doctor and tls, which open the token themselves: as the page of the installation says ----
sed -n '/^offline() {/,/^}/s/sudo //; /^offline() {/,/^}/p' "$(dirname "${BASH_SOURCE[0]}")/../deploy/docs/install.md" >"$root/root/offline.sh"
offline() { inside bash -c '. /root/offline.sh; offline "$@"' - "$@"; }
doctor_is_content() { offline assertionctl doctor --config /etc/assertiond/assertiond.json; }
with_tls() {   # the folder of the certificate is one that the service's user may write
  local tls='{ "listen": "127.0.0.1:8443", "certificate": "/var/lib/assertiond/certificate.pem", "client_ca": "/etc/assertiond/client-ca.pem" }'
  inside openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=callers -keyout /dev/null -out /etc/assertiond/client-ca.pem &&
    chmod 644 "$root/etc/assertiond/client-ca.pem" &&
    sed -i.plain "s|\"operators\"|\"tls\": $tls, &|" "$root/etc/assertiond/assertiond.json"
}
fails_with() {   # STATUS
  refused inside systemctl restart assertiond.service && is ExecMainStatus "$1"
}
plain_again() { mv "$root/etc/assertiond/assertiond.json.plain" "$root/etc/assertiond/assertiond.json" && inside systemctl restart assertiond.service; }
check "doctor finds all well while the service runs" doctor_is_content
check "TLS is configured" with_tls
check "without a certificate: status 23" fails_with 23
check "tls generate makes it, though no service runs" offline assertionctl tls generate --config /etc/assertiond/assertiond.json --san DNS:localhost
check "doctor finds all well while no service runs" doctor_is_content
check "then the service starts with TLS" inside systemctl restart assertiond.service
check "and without it again" plain_again
check "systemd forgets these starts" inside systemctl reset-failed assertiond.service

# ---- the audit log in a folder that the unit keeps read-only, then as the page of the installation says ----
log_elsewhere() { inside install -d -m 700 -o assertiond /srv/audit && sed -i.plain 's|"operators"|"audit": { "path": "/srv/audit/audit.log" }, &|' "$root/etc/assertiond/assertiond.json"; }
read_write() {
  printf '[Service]\n%s\n' "$(grep -oE 'ReadWritePaths=/[a-z/]+' "$(dirname "${BASH_SOURCE[0]}")/../deploy/docs/install.md")" \
    >"$root/etc/systemd/system/assertiond.service.d/folder.conf" &&
    inside systemctl daemon-reload && inside systemctl restart assertiond.service && test -s "$root/srv/audit/audit.log"
}
check "the audit log is to be in /srv/audit" log_elsewhere
check "it may not be written: status 22" fails_with 22
check "it is, with the page's drop-in" read_write
check "and in its own folder again" plain_again
check "systemd forgets these starts, too" inside systemctl reset-failed assertiond.service

# ---- reload, kill, watchdog, stop ----
reloaded() { inside systemctl reload assertiond.service && within 10 grep -q 'SIGHUP: clients and operators' <(journal); }
before=$(show MainPID)
check "it reloads" reloaded
check "and is the same process" test "$before" = "$(show MainPID)"
check "it is killed" inside systemctl kill --signal=KILL assertiond.service
check "and is started again" within 30 restarted "$before"
check "and signs" signs
before=$(show MainPID)
check "it is stopped in its tracks" inside systemctl kill --kill-whom=main --signal=STOP assertiond.service
check "the watchdog ends it, and it is started again" within 30 restarted "$before"
check "because of the watchdog" grep -q 'Watchdog timeout' <(journal)
check "and signs" signs
check "no core file is left" test -z "$(find "$root/var/lib/systemd/coredump" "$root/var/lib/assertiond" -type f -name 'core*' 2>/dev/null)"
check "it stops" inside systemctl stop assertiond.service
check "well" is Result success

# ---- what starting again cannot mend is not started again ----
fails_once() {   # STATUS
  refused inside systemctl restart assertiond.service && is ExecMainStatus "$1" && is ActiveState failed && is NRestarts 0
}
echo 000000 >"$root/etc/assertiond/pin"
check "a wrong PIN: one attempt, status 15, and no second one" fails_once 15
echo "$pin" >"$root/etc/assertiond/pin"
sed -i.good 's/"listen"/"lisen"/' "$root/etc/assertiond/assertiond.json"
check "a wrong configuration: status 3, and no second start" fails_once 3
mv "$root/etc/assertiond/assertiond.json.good" "$root/etc/assertiond/assertiond.json"
check "mended, it starts" inside systemctl start assertiond.service

# ---- a secret as Kubernetes mounts it: root's, readable by the group of a process that is not root ----
doctor() {   # GROUP
  inside install -m 440 -o root -g "$1" /etc/assertiond/pin /etc/assertiond/pin.mounted &&
    inside sh -c "sed 's|/run/credentials/assertiond.service/pin|/etc/assertiond/pin.mounted|' /etc/assertiond/assertiond.json >/tmp/mounted.json" &&
    inside env SOFTHSM2_CONF=/etc/assertiond/softhsm2.conf setpriv --reuid assertiond --regid assertiond --groups "$(in_root id -g games)" \
      assertionctl doctor --config /tmp/mounted.json
}
check "a PIN file of root and the process's own group is read" doctor assertiond
exposed() { local said; said=$(doctor games 2>&1) && return 1; grep -q 'open to others' <<<"$said" || { echo "$said"; return 1; }; }
check "one of another group, though the process is in it, is refused" exposed

# ---- update and removal ----
before=$(show MainPID)
check "an update" inside dpkg --install /root/assertiond.deb
check "starts the service again" within 30 restarted "$before"
check "and keeps the configuration" grep -q '"orders"' "$root/etc/assertiond/assertiond.json"
check "it is removed" inside dpkg --purge assertiond
check "the service is gone" refused inside systemctl is-active assertiond.service
check "and what it wrote is not" test -s "$root/var/lib/assertiond/audit.log"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
