#!/usr/bin/env bash
# run.sh BIN_DIR WORK_DIR [--only FUNCTION] [--reduced] [--results FILE]: the fault matrix against BIN_DIR/assertiond.
# The exit status says it all. WORK_DIR keeps the Node packages from one run to the next.
#   --only FUNCTION  the cells of this function alone
#   --reduced        of each function one code for each way and action, and every other fault
#   --results FILE   where the table of a whole run goes; RESULTS.md beside this file when not given
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: tests/faults/run.sh BIN_DIR WORK_DIR [--only FUNCTION] [--reduced] [--results FILE]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$1" && pwd)
"$here/../e2e/install.sh" "$2"
work=$(cd "$2" && pwd)

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
for program in "$bin/assertiond" "$bin/assertionctl" softhsm2-util setpriv; do
  command -v "$program" >/dev/null || { echo "faults: $program is missing" >&2; exit 1; }
done

# Node looks for packages beside and above the importing file, so the tests run as copies next to node_modules.
# A folder of its own for each run, so that runs at the same time do not disturb each other.
run=$(mktemp -d -p "$work")
trap 'rm -rf "$run"' EXIT
mkdir "$run/e2e" "$run/faults"
cp "$here"/../e2e/*.mjs "$run/e2e/"
cp "$here"/*.mjs "$here/codes.json" "$run/faults/"
E2E_BIN_DIR=$bin E2E_PROTO_DIR=$here/../../proto E2E_FAULTY_HSM=$bin/../tests/libfaulty_hsm.so \
  E2E_SOURCE_DIR=$here/../../src node "$run/faults/matrix.mjs" --results "$here/RESULTS.md" "${@:3}"
