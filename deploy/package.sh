#!/usr/bin/env bash
# Builds the Debian package of this release and prints its path.
set -euo pipefail
umask 022

case ${1-} in
  '') ;;
  -h|--help)
    echo "usage: deploy/package.sh"
    echo "Builds build/release/package/assertiond_VERSION_ARCHITECTURE.deb, for the release of Debian that this machine runs."
    echo "Exit status: 0 built; 1 a step failed, its log is build/package.log; 2 wrong usage."
    exit 0 ;;
  *) echo "package: unknown argument: $1 (see --help)" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
deploy/install-deps.sh build package
mkdir -p build
log=build/package.log
build() {
  cmake --preset release -D ASSERTION_PACKAGE=ON && cmake --build --preset release &&
    rm -rf build/release/package && (cd build/release && cpack)
}
if ! build >"$log" 2>&1; then
  tail -n 25 "$log" >&2
  echo "package: failed; its log is $root/$log" >&2
  exit 1
fi
ls "$root"/build/release/package/*.deb
