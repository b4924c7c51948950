#!/usr/bin/env bash
# python-jose 3.3.0 refuses a token when a key of another type stands before the right one in the JWK Set.
#
# Surprise:  jwt.decode with a JWK Set takes the keys in their order, whatever their kid and alg, and makes each one a
#            key for the token's algorithm. At the first whose kty does not fit it raises JWKError and does not look at
#            the rest: an ES256 token is verified by the set [EC, RSA] and refused by [RSA, EC]. kid is not looked at.
# Document:  RFC 7515, section 4.1.4: kid tells which key was used; RFC 7517, section 5.1: the order of the keys does
#            not imply a preference. python-jose's documentation of jwt.decode says that a JWK Set can be given.
# Matters:   a change of algorithm with both keys published, or a server that lists its keys in no fixed order, makes
#            correct tokens and assertions fail, some or all. Choose the key by kid and hand jwt.decode that one.
# Version:   python-jose 3.3.0 (Debian python3-jose 3.3.0+dfsg-4), the system's python3-cryptography. Seen 2026-11-30.
# Needs:     apt-get (with current package lists), dpkg, openssl, python3 with python3-cryptography. No root, no network
#            but Debian's packages.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download python3-jose=3.3.0+dfsg-4 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ES256.pem
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out RS256.pem

cat >verify.py <<'PY'
from jose import JWTError, exceptions, jwk, jwt

private, public = {}, {}
for alg in "ES256", "RS256":
    with open(f"{alg}.pem") as file:
        private[alg] = file.read()
    public[alg] = {**jwk.construct(private[alg], alg).public_key().to_dict(), "kid": alg, "use": "sig"}

for alg in "ES256", "RS256":
    token = jwt.encode({"sub": "client"}, private[alg], alg, headers={"kid": alg})
    for order in ("ES256", "RS256"), ("RS256", "ES256"):
        try:
            jwt.decode(token, {"keys": [public[kid] for kid in order]}, algorithms=[alg])
            result = "verified"
        except (JWTError, exceptions.JWKError) as error:
            result = f"{type(error).__name__}: {error}"
        print(f"{alg} token, keys {', '.join(order)}: {result}")
PY

cat >stated <<'S'
ES256 token, keys ES256, RS256: verified
ES256 token, keys RS256, ES256: JWKError: Incorrect key type. Expected: 'EC', Received: RSA
RS256 token, keys ES256, RS256: JWKError: Incorrect key type. Expected: 'RSA', Received: EC
RS256 token, keys RS256, ES256: verified
S
echo "python-jose 3.3.0, jwt.decode with a JWK Set of two keys, each with kid and alg:"
echo "expected: verified, four times"
echo "seen:"
PYTHONPATH=$tmp/root/usr/lib/python3/dist-packages /usr/bin/python3 verify.py >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: the first key has to be of the token's type."
