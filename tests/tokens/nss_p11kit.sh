#!/usr/bin/env bash
# NSS's softokn behind p11-kit-proxy, which hands it its parameters (x-init-reserved). Use it through DIR/run.
source "$(dirname "${BASH_SOURCE[0]}")/token.bash"
source "$(dirname "${BASH_SOURCE[0]}")/nss.bash"

start_token() {
  needs_file "$libraries/p11-kit-proxy.so" libp11-kit0
  needs_namespaces --mount
  make_nss
  mkdir "$dir/modules"
  printf 'module: %s\nx-init-reserved: %s\n' "$softokn" "$nss_parameters" >"$dir/modules/nss.module"
  set_p11_kit_launcher
  set_module "$libraries/p11-kit-proxy.so"
  set_uri "$nss_label"
}

token_main "$@"
