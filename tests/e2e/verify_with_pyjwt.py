"""Verifies an assertion with PyJWT, which shares no code with assertiond.

Standard input: {"assertion", "algorithm", "audience", "client_id", and one of "jwks" (the text) and "certificate" (PEM)}.
Standard output: the verified claims. Exit status 1, with the reason on standard error, when PyJWT refuses.
"""
import json
import sys

import jwt
from cryptography import x509

question = json.load(sys.stdin)
assertion = question["assertion"]
try:
    if "jwks" in question:
        kid = jwt.get_unverified_header(assertion)["kid"]
        key = jwt.PyJWKSet.from_json(question["jwks"])[kid].key
    else:
        key = x509.load_pem_x509_certificate(question["certificate"].encode()).public_key()
    claims = jwt.decode(
        assertion,
        key,
        algorithms=[question["algorithm"]],
        audience=question["audience"],
        issuer=question["client_id"],
        options={"require": ["iss", "sub", "aud", "iat", "exp", "jti"]},
    )
except (jwt.PyJWTError, KeyError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
json.dump(claims, sys.stdout)
