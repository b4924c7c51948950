#!/usr/bin/env bash
# build.sh OUT: makes the Go module assertiond/client in the folder OUT, with the code generated from the protos of this
# repository. Needs protoc and Debian's protoc-gen-go-1-3 (golang-goprotobuf-dev). Uses no network.
set -euo pipefail

[ $# = 1 ] || { echo "usage: deploy/clients/go/build.sh OUT" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
protos=$(cd "$here/../../../proto" && pwd)
command -v protoc protoc-gen-go >/dev/null ||
  { echo "build.sh: protoc or protoc-gen-go is missing: apt-get install protobuf-compiler golang-goprotobuf-dev" >&2; exit 1; }

mkdir -p "$1"
out=$(cd "$1" && pwd)
cp -r "$here/go.mod" "$here"/*.go "$here/README.md" "$here/examples" "$out/"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
files=$work/assertiond/client
mkdir -p "$files"
cp "$protos"/assertion/v1/{assertion,access_token}.proto "$protos"/google/rpc/{status,error_details}.proto "$files/"
# All in one internal package. The messages of google.rpc get a package of ours, which does not change what is sent:
# a program may link Google's own Go code of them, and it can register a message once only.
sed -i -e '/^option go_package/d' -e 's|^package google\.rpc;|package assertiond.client;|' \
  -e 's|"google/rpc/status\.proto"|"assertiond/client/status.proto"|' -e 's|google\.rpc\.Status|assertiond.client.Status|' "$files"/*
for file in "$files"/*; do echo 'option go_package = "assertiond/client/internal/wire;wire";' >>"$file"; done
options=plugins=grpc
for name in any duration struct timestamp; do   # in Debian's golang/protobuf 1.3; later versions forward to their successors
  options+=,Mgoogle/protobuf/$name.proto=github.com/golang/protobuf/ptypes/$name
done
protoc -I "$work" --go_out="$options:$work" "$files"/*.proto
mkdir -p "$out/internal"
rm -rf "$out/internal/wire"
mv "$files/internal/wire" "$out/internal/wire"
