#!/usr/bin/env bash
# build.sh OUT: makes the npm package assertiond-client in the folder OUT, from the protos of this repository.
# Needs node, npm and proto-loader-gen-types (of @grpc/proto-loader), here by `npm install` or in PATH. Uses no network.
set -euo pipefail

[ $# = 1 ] || { echo "usage: deploy/clients/node/build.sh OUT" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
protos=$(cd "$here/../../../proto" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
export PATH="$here/node_modules/.bin:$PATH"
command -v proto-loader-gen-types >/dev/null ||
  { echo "build.sh: proto-loader-gen-types is missing: run npm install in deploy/clients/node" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp -r "$here/package.json" "$here/README.md" "$here/src" "$here/examples" .
mkdir -p proto/assertion/v1 proto/google/rpc
cp "$protos"/assertion/v1/{assertion,access_token}.proto proto/assertion/v1/
cp "$protos"/google/rpc/{status,error_details}.proto proto/google/rpc/

# The options are those that src/wire.js loads the protos with.
proto-loader-gen-types --longs=Number --defaults --oneofs --includeComments --inputTemplate=%s --outputTemplate=%sOutput \
  --targetFileExtension=.d.ts --importFileExtension=.js --grpcLib=@grpc/grpc-js -I proto -O types \
  assertion/v1/assertion.proto assertion/v1/access_token.proto >/dev/null
rm -f types/*.d.ts types/assertion/v1/*Service.d.ts   # of gRPC's own client, which this package replaces
# A reply has every field, a request those that the caller sets.
for file in types/assertion/v1/*; do
  name=$(basename "$file" .d.ts)
  case $name in
    *Request) echo "export type { $name } from './assertion/v1/$name.js';" >>types/requests.d.ts ;;
    *Response) echo "export type { ${name}Output as $name } from './assertion/v1/$name.js';" >>types/replies.d.ts ;;
  esac
done
npm pack --silent --pack-destination "$out" >/dev/null
