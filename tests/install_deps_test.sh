#!/usr/bin/env bash
# What deploy/install-deps.sh FILE.deb asks for, of packages whose field Depends has an empty place. Installs nothing.
# Last line: "N passed, N failed". Exit status 1 when a check failed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
work=$(mktemp -d "${TMPDIR:-/tmp}/install_deps_test.XXXXXX")
trap 'rm -rf "$work"' EXIT

. "$(dirname "${BASH_SOURCE[0]}")/support/check.bash"

# Every package with a name is installed; apt is not to be asked.
mkdir "$work/witness"
cat >"$work/witness/dpkg-query" <<'WITNESS'
#!/bin/bash
[ $# = 4 ] || exit 0
echo "$4" >>"$WITNESS_SEEN"
[ -n "$4" ] && printf installed
WITNESS
printf '#!/bin/bash\necho "apt-get $*" >&2\nexit 1\n' >"$work/witness/apt-get"
chmod +x "$work/witness"/*
export WITNESS_SEEN=$work/seen

package() {   # FILE [DEPENDS]
  mkdir -p "$work/tree/DEBIAN"
  printf 'Package: example\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n%sDescription: none\n' \
    "${2:+Depends: $2$'\n'}" >"$work/tree/DEBIAN/control"
  dpkg-deb --root-owner-group --build "$work/tree" "$1" >/dev/null
}
asks_for() {   # FILE NAME...
  local file=$1
  shift
  : >"$WITNESS_SEEN"
  PATH=$work/witness:$PATH "$root/deploy/install-deps.sh" "$file" && [ "$(tr '\n' ' ' <"$WITNESS_SEEN")" = "$* " ] ||
    { echo "asked for: $(cat "$WITNESS_SEEN")"; false; }
}

package "$work/none.deb"
check "a package that depends on nothing has no empty name" asks_for "$work/none.deb" softhsm2 openssl
package "$work/folded.deb" $'libc6 (>= 2.36),\n libssl3 | libssl4'
check "a field of several lines has none" asks_for "$work/folded.deb" libc6 libssl3 softhsm2 openssl

echo "$passed passed, $failed failed"
[ $failed = 0 ]
