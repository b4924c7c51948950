#!/usr/bin/env bash
# SoftHSM2, as Debian ships it.
source "$(dirname "${BASH_SOURCE[0]}")/token.bash"

start_token() {
  make_softhsm softhsm
  set_module "$softhsm"
  set_uri softhsm
}

token_main "$@"
