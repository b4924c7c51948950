#!/usr/bin/env bash
# libp11 0.4.12 does not find an RSA private key once the token also holds an Ed25519 private key.
#
# Surprise:  `openssl dgst -engine pkcs11 -keyform engine -sign URI` signs with an RSA key that the URI names by its id.
#            After an Ed25519 key with another id is generated on the same token, the same command finds no key: the
#            engine lists all private keys, and the list fails at the key of a type that it does not know.
# Document:  libp11's README describes the URI as the way to select one key. It does not say that the token may hold no
#            key of another type.
# Matters:   a service that signs with RSA stops at its next start because somebody else made a key on the token.
# Version:   libp11 0.4.12 (Debian libengine-pkcs11-openssl 0.4.12-0.1), SoftHSM 2.6.1, OpenSC 0.23.0. Seen 2026-11-28.
# Needs:     apt-get (with current package lists), dpkg, openssl 3.0. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libengine-pkcs11-openssl=0.4.12-0.1 libsofthsm2=2.6.1-2.1 softhsm2=2.6.1-2.1 opensc=0.23.0-0.3+deb12u2 \
  opensc-pkcs11=0.23.0-0.3+deb12u2 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
engine=$(find root -name pkcs11.so -path '*engines-3*' | head -n 1)
module=$(find root -name libsofthsm2.so | head -n 1)
libraries=$(dirname "$(find root -name 'libopensc.so*' | head -n 1)")
mkdir tokens
export SOFTHSM2_CONF=$tmp/softhsm2.conf
printf 'directories.tokendir = %s/tokens\nlog.level = ERROR\n' "$tmp" >"$SOFTHSM2_CONF"
root/usr/bin/softhsm2-util --module "$tmp/$module" --init-token --free --label findings --pin 1234 --so-pin 12345678 \
  >init.log 2>&1 || { cat init.log >&2; exit 2; }

generate() { # generate TYPE ID
  LD_LIBRARY_PATH=$libraries root/usr/bin/pkcs11-tool --module "$tmp/$module" --login --pin 1234 --keypairgen \
    --key-type "$1" --id "$2" --label "$1" >generate.log 2>&1 || { cat generate.log >&2; exit 2; }
}
sign() {
  OPENSSL_ENGINES=$tmp/$(dirname "$engine") PKCS11_MODULE_PATH=$tmp/$module openssl dgst -sha256 -engine pkcs11 \
    -keyform engine -sign 'pkcs11:token=findings;id=%01;type=private?pin-value=1234' "$SOFTHSM2_CONF" \
    >signature 2>sign.log </dev/null && [ "$(wc -c <signature)" = 256 ] && echo "256 octets" || echo "no key"
}
generate rsa:2048 01
alone=$(sign)
generate EC:edwards25519 02
beside=$(sign)

echo "libp11 0.4.12, a signature by the RSA key with id 01:"
printf '  expected: alone on the token: 256 octets\n            beside an Ed25519 key: 256 octets\n'
printf '  seen:     alone on the token: %s\n            beside an Ed25519 key: %s\n' "$alone" "$beside"
[ "$alone" = "256 octets" ] || { cat sign.log >&2; exit 2; }
[ "$beside" = "no key" ] || { echo "CHANGED: libp11 finds the RSA key beside an Ed25519 key"; exit 1; }
echo "As stated: the RSA key is not found beside an Ed25519 key."
