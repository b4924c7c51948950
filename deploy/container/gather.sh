#!/usr/bin/env bash
# gather.sh BIN_DIR ROOT: a root file system for the two programs in BIN_DIR: them, every library that they link, what
# OpenSSL loads by name, time zones and authorities left out, and no shell.
set -euo pipefail
umask 022

[ $# = 2 ] || { echo "usage: deploy/container/gather.sh BIN_DIR ROOT" >&2; exit 2; }
bin=$1 root=$2
[ ! -e "$root" ] || { echo "gather: $root is there already" >&2; exit 1; }
modules=$(openssl version -m | sed 's/^MODULESDIR: "\(.*\)"$/\1/')
loaded=("$modules/pkcs11.so" "$modules/legacy.so")   # by name, not linked

take() { [ -e "$root$1" ] || install -D -m "${2:-644}" -- "$1" "$root$1"; }   # the file itself, under the name asked for
install -D -m 755 "$bin/assertiond" "$root/usr/sbin/assertiond"
install -D -m 755 "$bin/assertionctl" "$root/usr/bin/assertionctl"
for file in "${loaded[@]}"; do take "$file"; done
# Loaded by name inside glibc and by vendors' modules: names of hosts and users.
for name in libnss_files.so.2 libnss_dns.so.2 libresolv.so.2 libdl.so.2 libpthread.so.0 librt.so.1; do
  path=$(ldconfig -p | sed -n "s/^\t$name .*=> //p" | head -n 1)
  [ -z "$path" ] || take "$path" 755
done
{ ldd "$bin/assertiond" "$bin/assertionctl" "${loaded[@]}"; } |
  sed -nE 's/.*=> (\/[^ ]+) .*/\1/p; s/^\t(\/[^ ]+) .*/\1/p' | sort -u |
  while read -r library; do take "$library" 755; done
install -d "$root/etc/ssl" "$root/etc/assertiond" "$root/tmp"
chmod 1777 "$root/tmp"
printf 'root:x:0:0::/:/nonexistent\nassertiond:x:65532:65532::/var/lib/assertiond:/nonexistent\n' >"$root/etc/passwd"
printf 'root:x:0:\nassertiond:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\npasswd: files\ngroup: files\n' >"$root/etc/nsswitch.conf"
for folder in /var/lib/assertiond /run/assertiond; do
  install -d -m 700 "$root$folder"
  chown 65532:65532 "$root$folder"
done
chmod 755 "$root/run/assertiond"
