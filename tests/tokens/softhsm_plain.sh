#!/usr/bin/env bash
# SoftHSM2 without the mechanisms that hash and sign in one: a signature with RSA is CKM_RSA_PKCS or CKM_RSA_PKCS_PSS over
# a digest. C_GetMechanismInfo still describes those that are gone; C_GetMechanismList and C_SignInit do not know them.
source "$(dirname "${BASH_SOURCE[0]}")/token.bash"

start_token() {
  local hash gone='-'   # a bare "-" first: see findings/softhsm-minus-list-keeps-first.sh
  for hash in MD5 SHA1 SHA224 SHA256 SHA384 SHA512; do
    gone+=",CKM_${hash}_RSA_PKCS"
    [ "$hash" = MD5 ] || gone+=",CKM_${hash}_RSA_PKCS_PSS"
  done
  make_softhsm plain "slots.mechanisms = $gone"
  set_module "$softhsm"
  set_uri plain
}

token_main "$@"
