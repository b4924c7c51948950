#!/usr/bin/env bash
# Installs from the machine's own apt sources what building (and, on request, testing) assertiond needs.
# Silent when nothing is missing. Needs root, or a user with sudo. No mirror is named here: see backports().
set -euo pipefail
umask 022   # apt's own user must be able to read what is written for it
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" DEBIAN_FRONTEND=noninteractive

usage() {
  cat <<'USAGE'
usage: deploy/install-deps.sh [build] [package] [test] [bench] [FILE.deb]
  build   what deploy/quickstart.sh needs (the default)
  package what deploy/package.sh needs besides
  test    what tests/run.sh needs besides: GoogleTest, clang 19, Node.js, python3-jwt, pip, OpenSC, Prometheus, tokens,
          Chromium, Go, Java, fish, zsh
  bench   what the Go server of tests/bench/peers.sh needs besides
  FILE.deb  what deploy/quickstart.sh --package FILE.deb needs: what the package depends on, and SoftHSM2
Exit status: 0 all there; 1 something could not be installed; 2 wrong usage.
USAGE
}

build=(cmake ninja-build g++ pkg-config protobuf-compiler protobuf-compiler-grpc libprotobuf-dev libgrpc++-dev
  libssl-dev libp11-kit-dev nlohmann-json3-dev libcpp-httplib-dev libboost-dev libspdlog-dev libcli11-dev prometheus-cpp-dev
  softhsm2 pkcs11-provider openssl)
package=(dpkg-dev file gzip)
go=(golang-go golang-goprotobuf-dev golang-google-grpc-dev)
test=("${package[@]}" ccache git libgtest-dev libgmock-dev libbenchmark-dev clang-19 clang-tidy-19 clang-format-19
  libclang-rt-19-dev libengine-pkcs11-openssl
  python3 python3-jwt python3-cryptography python3-grpcio python3-protobuf python3-pip
  python3-setuptools python3-wheel prometheus curl jq opensc opensc-pkcs11
  p11-kit p11-kit-modules libnss3-tools opencryptoki mount socat iproute2 nftables procps libfaketime
  swtpm tpm2-abrmd libtpm2-pkcs11-1 libtss2-tcti-tabrmd-dev libtss2-dev dbus-daemon dbus-bin
  mmdebstrap systemd-container groff-base fish zsh chromium "${go[@]}"
  protobuf-compiler-grpc-java-plugin libgrpc-java libprotobuf-java libperfmark-java libnetty-java
  libnetty-tcnative-java libguava-java)
bench=("${go[@]}" golang-github-thalesignite-crypto11-dev)

wanted=()
[ $# -gt 0 ] || set -- build
for set in "$@"; do
  case $set in
    build) wanted+=("${build[@]}") ;;
    package) wanted+=("${package[@]}") ;;
    bench) wanted+=("${bench[@]}") ;;
    test) wanted+=("${test[@]}")
      # By command, not by package: other repositories ship npm inside their nodejs, and any JDK does.
      command -v node >/dev/null || wanted+=(nodejs)
      command -v npm >/dev/null || wanted+=(npm)
      command -v javac >/dev/null || wanted+=(default-jdk-headless) ;;
    -h|--help) usage; exit 0 ;;
    *.deb)
      # "libc6 (>= 2.36), a | b": of alternatives the first
      depends=$(dpkg-deb -f "$set" Depends) || exit 1
      while IFS= read -r one; do
        name=$(sed -E 's/\|.*//; s/\(.*//; s/:any//; s/ //g' <<<"$one")
        [ -z "$name" ] || wanted+=("$name")   # no Depends at all, or a comma at its end
      done < <(tr ',' '\n' <<<"$depends")
      wanted+=(softhsm2 openssl) ;;
    *) usage >&2; exit 2 ;;
  esac
done

# A package's dependencies may be names that others provide.
provided=" $(dpkg-query -W -f '${db:Status-Status} ${Provides}\n' | sed -n 's/^installed //p' | tr ',' '\n' |
  sed 's/(.*//; s/ //g' | tr '\n' ' ') "
missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] ||
    [[ $provided == *" $package "* ]] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null ||
    { echo "install-deps: missing: ${missing[*]}. Run this as root, or install sudo." >&2; exit 1; }
  as_root=(sudo env "DEBIAN_FRONTEND=$DEBIAN_FRONTEND")
fi
log=$(mktemp) && trap 'rm -f "$log"' EXIT
quietly() {
  "${as_root[@]}" "$@" >"$log" 2>&1 </dev/null ||
    { tail -n 20 "$log" >&2; echo "install-deps: failed: $*" >&2; exit 1; }
}
candidate() {
  [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \([^(].*\)/\1/p')" ] ||
    [ -n "$(apt-cache showpkg "$1" 2>/dev/null | sed '1,/^Reverse Provides/d')" ]
}

# Adds <suite>-backports with the mirror and the keyring with which this machine already reads <suite>.
backports() {
  local suite line uri entry keyring file=/etc/apt/sources.list.d/assertiond-backports.sources
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  line=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(SOURCESENTRY)' \
    'Identifier: Packages' 2>/dev/null | awk -v s="$suite" '$2 == s && $3 == "main" { print; exit }')
  [ -n "$suite" ] && [ -n "$line" ] ||
    { echo "install-deps: no apt source for '$suite' to derive its backports from" >&2; exit 1; }
  read -r uri _ _ entry <<<"$line"
  # No keyring named there means that apt trusts the machine's own set: then name none either.
  keyring=$(sed -nE 's/^[Ss]igned-[Bb]y: *(\/[^ ]+).*/\1/p; s/^deb +\[[^]]*signed-by=(\/[^] ]+).*/\1/p' \
    "${entry%:*}" 2>/dev/null | head -n 1)
  printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\n%s' \
    "$uri" "$suite" "${keyring:+Signed-By: $keyring$'\n'}" | "${as_root[@]}" tee "$file" >/dev/null
  if ! "${as_root[@]}" apt-get update >"$log" 2>&1 </dev/null; then
    "${as_root[@]}" rm -f "$file"   # a source that cannot be read would break the machine's apt
    tail -n 5 "$log" >&2; echo "install-deps: $suite-backports cannot be read from this machine's mirror" >&2; exit 1
  fi
}

echo "install-deps: reading the package lists" >&2
quietly apt-get update
for package in "${missing[@]}"; do
  candidate "$package" && continue
  echo "install-deps: adding this release's backports for $package" >&2
  backports
  candidate "$package" || { echo "install-deps: no apt source has $package" >&2; exit 1; }
done
echo "install-deps: installing ${#missing[@]} packages: ${missing[*]}" >&2
quietly apt-get install -y --no-install-recommends "${missing[@]}"
echo "install-deps: done in $SECONDS s" >&2
