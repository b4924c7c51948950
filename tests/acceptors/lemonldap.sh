#!/usr/bin/env bash
# lemonldap.sh BIN_DIR WORK_DIR: LemonLDAP::NG of Debian 13 as the acceptor of what BIN_DIR/assertiond signs, by hand: it
# bootstraps a Debian 13 root into WORK_DIR once (about two minutes, 400 MB). Needs root, mmdebstrap and what tests/e2e/run.sh needs.
set -euo pipefail

[ $# = 2 ] || { echo "usage: tests/acceptors/lemonldap.sh BIN_DIR WORK_DIR" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "lemonldap: needs root: it makes a Debian root and changes into it" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
bin=$(cd "$1" && pwd) work=$(cd "$2" && pwd)

if [ ! -e "$work/debian13/.complete" ]; then
  rm -rf --one-file-system "$work/debian13"
  # The machine's own archive of Debian, and how it reaches it.
  mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' 'Identifier: Packages' |
    awk -v s="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$2 == s { print $1; exit }')
  apt-config dump | grep -E '^Acquire::[a-z]+::(Proxy|CAInfo|Verify)' >"$work/apt.conf" || true
  mmdebstrap --variant=apt --include=liblemonldap-ng-portal-perl,libplack-perl --dpkgopt=force-unsafe-io \
    --aptopt='Apt::Install-Recommends "true"' --aptopt="$work/apt.conf" trixie "$work/debian13" "$mirror" >"$work/bootstrap.log" 2>&1 ||
    { tail -n 20 "$work/bootstrap.log" >&2; echo "lemonldap: no Debian 13 root; the log is $work/bootstrap.log" >&2; exit 1; }
  touch "$work/debian13/.complete"
fi
chroot "$work/debian13" dpkg-query --show liblemonldap-ng-portal-perl
export LEMONLDAP_ROOT=$work/debian13
# shellcheck disable=SC2016
"$here/../e2e/run.sh" "$bin" "$work" bash -c 'cp "$0"/lemonldap* . && node --test --test-reporter=spec lemonldap.test.mjs' "$here"
