#!/usr/bin/env bash
# openCryptoki's software token. The module and its daemon pkcsslotd have fixed places: /var/lib/opencryptoki, /run,
# /etc/opencryptoki and shared memory. Here they are folders of DIR in namespaces of pkcsslotd. Use it through DIR/run.
source "$(dirname "${BASH_SOURCE[0]}")/token.bash"

FACTORY_SO_PIN=87654321   # of every token that C_InitToken has made

start_token() {
  needs_command pkcsslotd opencryptoki
  needs_command pkcs11-tool opensc
  needs_namespaces --mount --ipc
  chmod 0711 "$dir"   # users of the group pkcs11 come here, too
  make_folders
  start_daemon
  make_token
}

make_folders() {
  local each
  mkdir -m 0755 "$dir/system" "$dir/system/etc" "$dir/system/run" "$dir/system/run/lock"
  mkdir -m 1777 "$dir/system/shm"
  for each in lib run/lock/opencryptoki; do
    mkdir -p "$dir/system/$each/swtok/TOK_OBJ"
    chgrp -R pkcs11 "$dir/system/$each"
    chmod -R 0770 "$dir/system/$each"
  done
  printf 'version opencryptoki-3.1\nslot 0\n{\nstdll = libpkcs11_sw.so\n}\n' >"$dir/system/etc/opencryptoki.conf"
  chmod 0644 "$dir/system/etc/opencryptoki.conf"
}

# /run is replaced whole, because pkcsslotd removes and makes its socket there.
start_daemon() {
  # shellcheck disable=SC2016 # expanded in the namespace
  background unshare --mount --ipc sh -c '
    mount --bind "$1/lib" /var/lib/opencryptoki && mount --bind "$1/etc" /etc/opencryptoki &&
    mount --bind "$1/shm" /dev/shm && mount --bind "$1/run" /run &&
    exec pkcsslotd -f' sh "$dir/system"
  wait_until "pkcsslotd's socket" test -S "$dir/system/run/pkcsslotd.socket"
  set_launcher nsenter "--mount=/proc/$!/ns/mnt" "--ipc=/proc/$!/ns/ipc" "--root=/proc/$!/root" --
}

# PINs have 4 to 8 characters. A PIN that another has set must be changed before it is good for anything.
make_token() {
  local module=$libraries/pkcs11/libopencryptoki.so first so_pin
  first=$(random_digits 8)
  so_pin=$(random_digits 8)
  set_pin "$(random_digits 8)"
  local tool=("$dir/run" pkcs11-tool --module "$module")
  quietly "${tool[@]}" --init-token --slot-index 0 --label opencryptoki --so-pin "$FACTORY_SO_PIN"
  tool+=(--token-label opencryptoki --login)
  quietly "${tool[@]}" --login-type so --change-pin --so-pin "$FACTORY_SO_PIN" --new-pin "$so_pin"
  quietly "${tool[@]}" --init-pin --so-pin "$so_pin" --new-pin "$first"
  quietly "${tool[@]}" --change-pin --pin "$first" --new-pin "$pin"
  set_module "$module"
  set_uri opencryptoki
}

token_main "$@"
