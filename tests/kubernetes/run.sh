#!/usr/bin/env bash
# run.sh BIN_DIR WORK_DIR: holds deploy/kubernetes against Kubernetes' own types. No cluster is asked: none is there.
# The exit status says it all. WORK_DIR keeps the Node packages from one run to the next.
set -euo pipefail

[ $# = 2 ] || { echo "usage: tests/kubernetes/run.sh BIN_DIR WORK_DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$1" && pwd)
mkdir -p "$2"
cd "$2"
if ! cmp -s "$here/package-lock.json" node_modules/.installed-from; then
  cp "$here/package.json" "$here/package-lock.json" .
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  cp "$here/package-lock.json" node_modules/.installed-from   # last: an interrupted installation is made again
fi
cp "$here"/*.mjs .   # Node looks for packages beside the importing file
KUBERNETES_BIN_DIR=$bin KUBERNETES_MANIFESTS=$here/../../deploy/kubernetes KUBERNETES_SOURCES=$here/../../src \
  node --test --test-reporter=spec manifests.test.mjs
