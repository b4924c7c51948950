#!/usr/bin/env bash
# build.sh OUT: makes the wheel of assertiond_client in the folder OUT, from the protos of this repository.
# Needs protoc, grpc_python_plugin, python3-pip, python3-setuptools and python3-wheel. Uses no network.
set -euo pipefail

[ $# = 1 ] || { echo "usage: deploy/clients/python/build.sh OUT" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
protos=$(cd "$here/../../../proto" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
plugin=$(command -v grpc_python_plugin) ||
  { echo "build.sh: grpc_python_plugin is missing: apt-get install protobuf-compiler-grpc" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/pyproject.toml" "$here/README.md" "$here/assertiond_client" "$work/"
wire=$work/assertiond_client/_wire
protoc -I "$protos" --python_out="$wire" --grpc_python_out="$wire" --plugin=protoc-gen-grpc_python="$plugin" \
  "$protos/assertion/v1/assertion.proto" "$protos/assertion/v1/access_token.proto"
protoc -I "$protos" --python_out="$wire" "$protos/google/rpc/status.proto" "$protos/google/rpc/error_details.proto"
# protoc imports by proto path. The modules live inside our package, so that they collide with nobody's "assertion".
sed -i -e 's/^from assertion\.v1 import/from assertiond_client._wire.assertion.v1 import/' \
  -e 's/^from google\.rpc import/from assertiond_client._wire.google_rpc import/' "$wire"/assertion/v1/*.py
find "$wire" -type d -exec touch '{}/__init__.py' \;

cd "$work"
/usr/bin/python3 -m pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir "$out" .
