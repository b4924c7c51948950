#!/usr/bin/env bash
# run.sh BIN_DIR WORK_DIR [COMMAND...]: runs the end-to-end tests against BIN_DIR/assertiond and BIN_DIR/assertionctl, or
# COMMAND in their place (see draw_dashboard.mjs).
# The exit status says it all. WORK_DIR keeps the Node packages from one run to the next.
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: tests/e2e/run.sh BIN_DIR WORK_DIR [COMMAND...]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$1" && pwd)
"$here/install.sh" "$2"
work=$(cd "$2" && pwd)

export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
for program in "$bin/assertiond" "$bin/assertionctl" softhsm2-util pkcs11-tool openssl setpriv /usr/bin/python3 curl protoc grpc_java_plugin javac go prometheus promtool "$bin/example_client"; do
  command -v "$program" >/dev/null || { echo "e2e: $program is missing" >&2; exit 1; }
done

# Node looks for packages beside and above the importing file, so the tests run as copies next to node_modules.
# A folder of its own for each run, so that runs at the same time do not disturb each other.
run=$(mktemp -d -p "$work")
trap 'rm -rf "$run"' EXIT
cp -r "$here"/*.mjs "$here"/*.py "$here/wso2" "$here/examples" "$here/clients" "$here/../process/spy_leak.supp" "$here/../vectors/profiles.json" "$run/"
cd "$run"
export E2E_BIN_DIR=$bin E2E_PROTO_DIR=$here/../../proto E2E_FAULTY_HSM=$bin/../tests/libfaulty_hsm.so
shift 2
[ $# -gt 0 ] || set -- node --test --test-reporter=spec ./*.test.mjs
"$@"
