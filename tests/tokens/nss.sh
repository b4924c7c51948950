#!/usr/bin/env bash
# NSS's softokn, loaded directly. It has no configuration file: C_Initialize wants DIR/init_args in pReserved.
source "$(dirname "${BASH_SOURCE[0]}")/token.bash"
source "$(dirname "${BASH_SOURCE[0]}")/nss.bash"

start_token() {
  make_nss
  set_module "$softokn"
  set_init_args "$nss_parameters"
  set_uri "$nss_label"
}

token_main "$@"
