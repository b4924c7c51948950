#!/usr/bin/env bash
# SoftHSM2 behind `p11-kit server`, used by p11-kit-proxy with `remote:`. Use it through DIR/run.
source "$(dirname "${BASH_SOURCE[0]}")/token.bash"

start_token() {
  needs_file "$libraries/p11-kit-proxy.so" libp11-kit0
  needs_namespaces --mount
  make_softhsm remote
  start_p11_kit_server remote
  mkdir "$dir/modules"
  printf 'remote: unix:path=%s\n' "$dir/socket" >"$dir/modules/hsm.module"
  set_p11_kit_launcher
  set_module "$libraries/p11-kit-proxy.so"
  set_uri remote
}

token_main "$@"
