#!/usr/bin/env bash
# build.sh OUT: makes assertiond-client-0.1.0.jar and its pom.xml in the folder OUT, from the protos of this repository.
# Needs a JDK (17 or later), protoc, and Debian's protobuf-compiler-grpc-java-plugin, libgrpc-java, libprotobuf-java,
# libperfmark-java, libnetty-java, libnetty-tcnative-java and libguava-java. Uses no network.
# build.sh --class-path: prints the jars that it compiles against.
set -euo pipefail

[ $# = 1 ] || { echo "usage: deploy/clients/java/build.sh OUT | --class-path" >&2; exit 2; }
jars=()
for name in grpc-{api,context,core,netty,protobuf,protobuf-lite,stub} protobuf guava perfmark-api \
  netty-{buffer,codec,codec-http,codec-http2,codec-socks,common,handler,handler-proxy,resolver,tcnative,transport}; do
  jars+=("/usr/share/java/$name.jar")
  [ -e "${jars[-1]}" ] || { echo "build.sh: ${jars[-1]} is missing; the head of build.sh names the packages" >&2; exit 1; }
done
class_path=$(IFS=:; echo "${jars[*]}")
if [ "$1" = --class-path ]; then echo "$class_path"; exit; fi

here=$(cd "$(dirname "$0")" && pwd)
protos=$(cd "$here/../../../proto" && pwd)
plugin=$(command -v grpc_java_plugin) ||
  { echo "build.sh: grpc_java_plugin is missing: apt-get install protobuf-compiler-grpc-java-plugin" >&2; exit 1; }
mkdir -p "$1"
out=$(cd "$1" && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{proto/assertion/v1,proto/google/rpc,generated,classes}
cp "$protos"/assertion/v1/{assertion,access_token}.proto "$work/proto/assertion/v1/"
cp "$protos"/google/rpc/{status,error_details}.proto "$work/proto/google/rpc/"
# Classes of our own for google.rpc, so that they meet no others.
for file in "$work"/proto/google/rpc/*; do echo 'option java_package = "assertiond.client.wire";' >>"$file"; done
cd "$work/proto"
protoc -I . --java_out="$work/generated" --grpc-java_out="$work/generated" --plugin=protoc-gen-grpc-java="$plugin" \
  assertion/v1/*.proto google/rpc/*.proto
cd "$work"
find generated -name '*.java' >generated.list
# javax.annotation left the JDK with Java 11; its mark of generated code has no effect.
xargs sed -i '/^@javax\.annotation\.Generated(/,/)$/d' <generated.list
find "$here/src" -name '*.java' >ours.list
# The generated code first: its warnings are not ours.
javac --release 17 -nowarn -proc:none -cp "$class_path" -d classes @generated.list 2>generated.log || { cat generated.log >&2; exit 1; }
javac --release 17 -Xlint:all,-processing,-classfile -Werror -proc:none -cp "classes:$class_path" -d classes @ours.list
jar --create --file "$out/assertiond-client-0.1.0.jar" -C classes .
cp "$here/pom.xml" "$out/pom.xml"
# Debian's Netty speaks TLS for HTTP/2 through this library alone, and looks for it under another name than Debian's.
mkdir -p "$out/native"
cp "$(dpkg -L libnetty-tcnative-jni | grep '/libnetty-tcnative\.so$')" "$out/native/libnetty_tcnative.so"
