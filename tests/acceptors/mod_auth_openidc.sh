#!/usr/bin/env bash
# mod_auth_openidc.sh BIN_DIR WORK_DIR: mod_auth_openidc of this machine's Debian as a resource server that verifies what
# BIN_DIR/assertiond signs, by hand. Needs root (Apache changes its user), and what tests/e2e/run.sh needs; installs nothing.
set -euo pipefail

[ $# = 2 ] || { echo "usage: tests/acceptors/mod_auth_openidc.sh BIN_DIR WORK_DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
bin=$(cd "$1" && pwd) work=$(cd "$2" && pwd)

export APACHE_ROOT=$work/apache
if [ ! -e "$APACHE_ROOT/.complete" ]; then
  rm -rf "$APACHE_ROOT" && mkdir "$APACHE_ROOT" && cd "$APACHE_ROOT"
  apt-get download apache2-bin libapache2-mod-auth-openidc libapr1 libaprutil1 libcjose0 >apt.log 2>&1 ||
    { cat apt.log >&2; echo "mod_auth_openidc: the packages cannot be had; apt-get update?" >&2; exit 1; }
  for deb in *.deb; do dpkg -x "$deb" . && dpkg-deb --field "$deb" Package Version; done >versions
  touch .complete
fi
cat "$APACHE_ROOT/versions"
# shellcheck disable=SC2016
"$here/../e2e/run.sh" "$bin" "$work" \
  bash -c 'cp "$0"/mod_auth_openidc* . && node --test --test-reporter=spec mod_auth_openidc.test.mjs' "$here"
