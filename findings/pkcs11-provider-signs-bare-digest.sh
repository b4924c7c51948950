#!/usr/bin/env bash
# pkcs11-provider 1.0 signs the bare digest with PKCS#1 v1.5 where the token lacks the combined mechanism.
#
# Surprise:  on a token with CKM_RSA_PKCS and without CKM_SHA256_RSA_PKCS, `openssl dgst -sha256 -sign` exits with 0 and
#            writes a signature that does not verify: under the padding stands the digest alone, without the DigestInfo
#            that names the hash.
# Document:  RFC 8017, section 9.2 (EMSA-PKCS1-v1_5), steps 2 to 5: what is padded is the DER encoding of DigestInfo.
#            PKCS#11 v2.40, section "PKCS #1 v1.5 RSA": CKM_RSA_PKCS does not add it, its caller does.
#            provider-pkcs11(7) does not name mechanisms that a token must have.
# Matters:   certificates, requests and signatures made through the provider on such a token are invalid, and nothing says
#            so. Verify each with the public key before it is used, or sign through a PKCS#11 session of your own.
# Version:   pkcs11-provider 1.0 (Debian 1.0-3~bpo12+1), SoftHSM 2.6.1, the system's OpenSSL 3.0. Seen 2026-11-28.
# Needs:     apt-get (with current package lists, and bookworm-backports), dpkg, gcc, openssl. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download pkcs11-provider=1.0-3~bpo12+1 libsofthsm2=2.6.1-2.1 softhsm2=2.6.1-2.1 opensc=0.23.0-0.3+deb12u2 \
  opensc-pkcs11=0.23.0-0.3+deb12u2 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$tmp/root/usr/lib/$(gcc -print-multiarch)
module=$libraries/softhsm/libsofthsm2.so
export LD_LIBRARY_PATH=$libraries SOFTHSM2_CONF=$tmp/softhsm2.conf
mkdir tokens
cat >openssl.cnf <<CNF
openssl_conf = openssl
[openssl]
providers = providers
[providers]
default = built_in
pkcs11 = pkcs11
[built_in]
activate = 1
[pkcs11]
module = $libraries/ossl-modules/pkcs11.so
pkcs11-module-path = $module
pkcs11-module-token-pin = 1234
pkcs11-module-quirks = no-deinit
activate = 1
CNF
configure() { printf 'directories.tokendir = %s/tokens\nslots.mechanisms = %s\n' "$tmp" "$1" >"$SOFTHSM2_CONF"; }
configure ALL
root/usr/bin/softhsm2-util --module "$module" --init-token --free --label findings --pin 1234 --so-pin 12345678 >/dev/null
root/usr/bin/pkcs11-tool --module "$module" --token-label findings --login --pin 1234 --keypairgen --key-type rsa:2048 \
  --label key --id 07 >tool.log 2>&1 || { cat tool.log >&2; exit 2; }
root/usr/bin/pkcs11-tool --module "$module" --token-label findings --read-object --type pubkey --id 07 2>tool.log |
  openssl pkey -pubin -inform DER -out public.pem || { cat tool.log >&2; exit 2; }
echo "to be signed" >message

look() {   # slots.mechanisms
  local status=0 content
  configure "$1"
  OPENSSL_CONF=$tmp/openssl.cnf openssl dgst -sha256 -sign 'pkcs11:token=findings;object=key;type=private' -out signature \
    message 2>openssl.log || status=$?
  echo "openssl dgst -sign: exit status $status"
  echo "openssl dgst -verify: $(openssl dgst -sha256 -verify public.pem -signature signature message 2>/dev/null || true)"
  content=$(openssl pkeyutl -verifyrecover -pubin -inkey public.pem -in signature -hexdump 2>>openssl.log | grep -c .)
  [ "$content" = 2 ] && echo "under the padding: 32 octets" || echo "under the padding: more than the digest"
}
cat >stated <<'S'
openssl dgst -sign: exit status 0
openssl dgst -verify: Verification failure
under the padding: 32 octets
S
echo "pkcs11-provider 1.0, RSA key on a token with all mechanisms:"
look ALL | sed 's/^/  /'
echo "without CKM_SHA256_RSA_PKCS:"
echo "expected: the same, or an error"
echo "seen:"
look -,CKM_SHA256_RSA_PKCS >seen || { cat seen openssl.log; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: the bare digest is signed, with exit status 0."
