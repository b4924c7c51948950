#!/usr/bin/env bash
# A TPM 2.0 in software (swtpm), its resource manager (tpm2-abrmd) on a message bus of its own, and tpm2-pkcs11.
source "$(dirname "${BASH_SOURCE[0]}")/token.bash"

start_token() {
  needs_command swtpm swtpm
  needs_command tpm2-abrmd tpm2-abrmd
  needs_command dbus-daemon dbus-daemon
  needs_command dbus-send dbus-bin
  needs_command pkcs11-tool opensc
  needs_file "$libraries/pkcs11/libtpm2_pkcs11.so" libtpm2-pkcs11-1
  mkdir "$dir/state" "$dir/store" "$dir/services"
  set_environment TPM2_PKCS11_STORE "$dir/store"
  set_environment TPM2_PKCS11_TCTI tabrmd:bus_type=session
  set_environment TSS2_LOG all+NONE
  set_environment DBUS_SESSION_BUS_ADDRESS "unix:path=$dir/bus"
  start_tpm
  start_bus
  make_token
}

start_tpm() {
  background swtpm socket --tpm2 --tpmstate "dir=$dir/state" --server "type=unixio,path=$dir/tpm" \
    --ctrl "type=unixio,path=$dir/tpm.ctrl" --flags not-need-init,startup-clear
}

# The bus starts the resource manager for the first that asks, and again until the TPM listens.
start_bus() {
  cat >"$dir/bus.conf" <<CONF
<busconfig><type>session</type><listen>unix:path=$dir/bus</listen><servicedir>$dir/services</servicedir>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
CONF
  printf '[D-BUS Service]\nName=com.intel.tss2.Tabrmd\nExec=%s --session --allow-root --tcti=swtpm:path=%s\n' \
    "$(command -v tpm2-abrmd)" "$dir/tpm" >"$dir/services/tabrmd.service"
  background dbus-daemon --nofork --config-file="$dir/bus.conf"
  wait_until "the TPM's resource manager" dbus-send --session --print-reply --dest=com.intel.tss2.Tabrmd \
    /com/intel/tss2/Tabrmd/Tcti org.freedesktop.DBus.Introspectable.Introspect
  remember_process "$(dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus /org/freedesktop/DBus \
    org.freedesktop.DBus.GetConnectionUnixProcessID string:com.intel.tss2.Tabrmd | awk '{ print $2 }')"
}

make_token() {
  local module=$libraries/pkcs11/libtpm2_pkcs11.so so_pin
  so_pin=$(random_digits 16)
  set_pin "$(random_digits 16)"
  quietly pkcs11-tool --module "$module" --init-token --slot-index 0 --label tpm --so-pin "$so_pin"
  quietly pkcs11-tool --module "$module" --init-pin --token-label tpm --login --so-pin "$so_pin" --pin "$pin"
  set_module "$module"
  set_uri tpm
}

token_main "$@"
