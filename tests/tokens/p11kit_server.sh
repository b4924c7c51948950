#!/usr/bin/env bash
# SoftHSM2 behind `p11-kit server`, used by p11-kit-client.so. Each C_GetFunctionList is a connection with a login of its own.
source "$(dirname "${BASH_SOURCE[0]}")/token.bash"

start_token() {
  needs_file "$libraries/pkcs11/p11-kit-client.so" p11-kit-modules
  make_softhsm served
  start_p11_kit_server served
  set_environment P11_KIT_SERVER_ADDRESS "unix:path=$dir/socket"
  set_module "$libraries/pkcs11/p11-kit-client.so"
  set_uri served
}

token_main "$@"
