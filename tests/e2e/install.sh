#!/usr/bin/env bash
# install.sh WORK_DIR: brings the locked Node packages to WORK_DIR/node_modules. Does nothing when they are there.
set -euo pipefail

[ $# = 1 ] || { echo "usage: tests/e2e/install.sh WORK_DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)

for command in node npm; do
  command -v "$command" >/dev/null ||
    { echo "e2e: $command is not installed. Run deploy/install-deps.sh test" >&2; exit 1; }
done
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 18 ] || { echo "e2e: Node.js $(node --version) is too old; 18 is the oldest that works" >&2; exit 1; }

# One installation at a time.
exec 9>"$work/install.lock"
flock 9

# Written last, so that an interrupted installation is made again; npm ci deletes it with the rest of node_modules.
stamp="$work/node_modules/.installed-from"
if cmp -s "$here/package-lock.json" "$stamp"; then exit 0; fi

cp "$here/package.json" "$here/package-lock.json" "$work/"
# No package's own install script runs: none of these packages needs one.
npm ci --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel=error >"$work/npm.log" 2>&1 ||
  { cat "$work/npm.log" >&2; echo "e2e: npm ci failed; its log is $work/npm.log" >&2; exit 1; }
cp "$here/package-lock.json" "$stamp"
