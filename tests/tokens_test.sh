#!/usr/bin/env bash
# tokens_test.sh: the scripts of tests/tokens do what its README says. Two tokens of each kind are started side by side;
# without root, the kinds that need it say so. Last line: "N passed, N failed".
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
at_exit() {
  local directory
  for directory in "$work"/*/; do   # what a failure has left
    [ ! -f "$directory/token" ] || "$root/tests/tokens/$(cat "$directory/token").sh" stop "$directory" || true
  done
  rm -rf "$work"
}
trap at_exit EXIT

# shellcheck source=tests/support/check.bash
. "$root/tests/support/check.bash"

# shellcheck disable=SC2046 # flags are words
cc $(pkg-config --cflags p11-kit-1) "$root/tests/tokens/log_in.c" -o "$work/log_in" -ldl
log_in() {   # DIR PIN
  local label
  label=$(sed -E 's/^pkcs11:token=([^?]*)\?.*/\1/; s/%20/ /g' "$1/uri")
  "$1/run" "$work/log_in" "$(cat "$1/module")" "$(cat "$1/init_args")" "$label" <<<"$2"
}
logs_in() { log_in "$1" "$(cat "$1/pin")"; }
wrong_pin_is_refused() {   # DIR
  local answer
  answer=$(log_in "$1" 00000000 2>&1) && return 1
  grep -x 'C_Login: 0xa0' <<<"$answer" || { echo "$answer"; return 1; }
}
other_user_reads_nothing() {   # DIR
  [ "$(find "$1/pin" -perm 0600)" = "$1/pin" ] && [ -z "$(find "$1" -maxdepth 0 -perm /044)" ]
}
keeps_the_working_directory() { [ "$(cd "$work" && "$1/run" pwd -P)" = "$(cd "$work" && pwd -P)" ]; }   # DIR
uri_names_module_and_pin() { grep -F "?module-path=$(cat "$1/module")&pin-source=file:$1/pin" "$1/uri"; }
processes_have_ended() {   # FILE: lines of process and start time
  local process since
  while read -r process since; do
    [ "$(awk '$3 != "Z" { print $22 }' "/proc/$process/stat" 2>/dev/null)" != "$since" ] ||
      { echo "process $process runs"; return 1; }
  done <"$1"
}
# Of our own: other tests mount beside this one.
mounts_below_work() { grep -F "$work" /proc/self/mounts || true; }
mounts_are_as_before() { diff "$work/mounts" <(mounts_below_work); }
system_folders() { ls -lR /var/lib/opencryptoki /etc/opencryptoki /usr/share/p11-kit/modules 2>&1 || true; }
system_is_as_before() { diff "$work/system" <(system_folders); }

mounts_below_work >"$work/mounts"
system_folders >"$work/system"
for script in "$root"/tests/tokens/*.sh; do
  name=$(basename "$script" .sh)
  one=$work/$name.1 two=$work/$name.2
  if [ "$(id -u)" != 0 ] && grep -q '^ *needs_namespaces' "$script"; then
    check "$name says that it needs root" status_is 3 "$script" start "$one"
    check "$name leaves nothing" [ ! -e "$one" ]
    continue
  fi
  check "$name starts" "$script" start "$one"
  check "$name starts a second time" "$script" start "$two"
  if [ ! -d "$one" ] || [ ! -d "$two" ]; then continue; fi
  check "$name does not start in a folder that is in use" status_is 1 "$script" start "$one"
  check "$name: the first token logs in" logs_in "$one"
  check "$name: the second token logs in" logs_in "$two"
  check "$name: a wrong PIN is refused" wrong_pin_is_refused "$one"
  check "$name: the PINs differ" status_is 1 cmp "$one/pin" "$two/pin"
  check "$name: the PIN is its owner's" other_user_reads_nothing "$one"
  check "$name: run keeps the working directory" keeps_the_working_directory "$one"
  check "$name: the URI names module and PIN" uri_names_module_and_pin "$one"
  cat "$one/processes" "$two/processes" >"$work/processes"
  check "$name: the first stops" "$script" stop "$one"
  check "$name: the second outlives the first" logs_in "$two"
  check "$name: the second stops" "$script" stop "$two"
  check "$name: its processes have ended" processes_have_ended "$work/processes"
  check "$name: its folders are gone" [ ! -e "$one" -a ! -e "$two" ]
  check "$name: stops again" "$script" stop "$one"
done
check "the system's mounts are as before" mounts_are_as_before
check "the system's folders are as before" system_is_as_before
check "a folder that no script made is not removed" status_is 1 "$root/tests/tokens/softhsm.sh" stop "$root/tests"
check "a folder with a blank is refused" status_is 1 "$root/tests/tokens/softhsm.sh" start "$work/a b"
check "no argument is wrong usage" status_is 2 "$root/tests/tokens/softhsm.sh"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
