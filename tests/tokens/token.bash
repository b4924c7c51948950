# The contract that the scripts of this folder share. Sourced by each; README.md describes it for users.
# A script defines start_token and ends with: token_main "$@". start_token uses the functions below and $dir.
set -euo pipefail
umask 077
export LC_ALL=C.UTF-8 PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

token_name=$(basename "$0" .sh)
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
libraries=/usr/lib/$multiarch

failed() { echo "$token_name: $*" >&2; exit 1; }
unavailable() { echo "$token_name: $*" >&2; exit 3; }

needs_command() {   # COMMAND PACKAGE
  command -v "$1" >/dev/null || unavailable "needs $1; install the package $2"
}
needs_file() {   # FILE PACKAGE
  [ -e "$1" ] || unavailable "needs $1; install the package $2"
}
needs_namespaces() {   # OPTION OF unshare...
  needs_command mount mount
  [ "$(id -u)" = 0 ] || unavailable "must run as root: the module's configuration is in folders of the system"
  unshare "$@" true 2>/dev/null || unavailable "may not make namespaces (unshare $*): give the container CAP_SYS_ADMIN"
}

# Runs a command whose output matters only when it fails.
quietly() {
  "$@" >>"$dir/log" 2>&1 </dev/null || { tail -n 20 "$dir/log" >&2; failed "failed: $*"; }
}

wait_until() {   # DESCRIPTION COMMAND...: 30 s at most, and as long as what background started runs
  local description=$1 tries
  shift
  for ((tries = 0; tries < 600; tries++)); do
    if "$@" >/dev/null 2>&1; then return; fi
    kill -0 "$!" 2>/dev/null || break   # the last that background started
    sleep 0.05
  done
  tail -n 20 "$dir/log" >&2
  failed "$description is not there after $((tries / 20)) s"
}

random_digits() {   # COUNT
  local digits
  digits=$(od -An -v -tu4 -N 64 /dev/urandom | tr -d ' \n')
  echo "${digits:1:$1}"   # not the first: it is 1 to 4 too often
}

# Writes the files that a test reads.
set_pin() { pin=$1; printf '%s\n' "$pin" >"$dir/pin"; }
set_module() { printf '%s\n' "$1" >"$dir/module"; }
set_init_args() { printf '%s' "$1" >"$dir/init_args"; }
set_uri() {   # TOKEN LABEL, percent-encoded
  printf 'pkcs11:token=%s?module-path=%s&pin-source=file:%s\n' "$1" "$(cat "$dir/module")" "$dir/pin" >"$dir/uri"
}
set_environment() {   # NAME VALUE
  printf '%s=%q\n' "$1" "$2" >>"$dir/env"
  export "$1=$2"
}
# Makes DIR/run, which runs its arguments in the token's environment, behind the given command if there is one.
set_launcher() {   # [COMMAND...]
  {
    printf '#!/bin/sh\nset -a\n. %q\nset +a\n' "$dir/env"
    # shellcheck disable=SC2016 # expanded by DIR/run
    # env, because entering a namespace changes the working directory.
    if [ $# -gt 0 ]; then printf 'exec'; printf ' %q' "$@"; printf ' env --chdir="$PWD" "$@"\n'; else printf 'exec "$@"\n'; fi
  } >"$dir/run"
  chmod 0700 "$dir/run"
}
# A launcher in whose mount namespace p11-kit finds the modules of DIR/modules and no others.
set_p11_kit_launcher() {
  local configurations
  configurations=$(pkg-config --variable=p11_module_configs p11-kit-1 2>/dev/null || echo /usr/share/p11-kit/modules)
  # shellcheck disable=SC2016 # expanded in the namespace
  set_launcher unshare --mount sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$dir/modules" "$configurations"
}

# A number that another process with the same id does not have.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }
remember_process() { echo "$1 $(started_at "$1")" >>"$dir/processes"; }
background() {   # COMMAND...: ends with `stop`
  setsid "$@" >>"$dir/log" 2>&1 </dev/null &
  remember_process $!
}

end_processes() {
  local process since tries
  [ -f "$dir/processes" ] || return 0
  while read -r process since; do
    [ -n "$since" ] && [ "$(started_at "$process")" = "$since" ] || continue
    kill "$process" 2>/dev/null || true
    for ((tries = 0; tries < 100; tries++)); do
      [ "$(started_at "$process")" = "$since" ] && [[ $(ps -o stat= -p "$process") != Z* ]] || continue 2
      sleep 0.05
    done
    kill -KILL "$process" 2>/dev/null || true
  done < <(tac "$dir/processes")
}

# SoftHSM2 with a token, for this script's own module or for one that hands calls on to it.
softhsm=$libraries/softhsm/libsofthsm2.so
make_softhsm() {   # LABEL [LINE OF softhsm2.conf]...
  needs_command softhsm2-util softhsm2
  needs_file "$softhsm" softhsm2
  mkdir "$dir/tokens"
  { printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$dir"
    [ $# = 1 ] || printf '%s\n' "${@:2}"; } >"$dir/softhsm2.conf"
  set_environment SOFTHSM2_CONF "$dir/softhsm2.conf"
  set_pin "$(random_digits 16)"
  quietly softhsm2-util --module "$softhsm" --init-token --free --label "$1" --pin "$pin" --so-pin "$(random_digits 16)"
}

# p11-kit server before a SoftHSM2 that make_softhsm has made; its socket is DIR/socket.
start_p11_kit_server() {   # LABEL
  needs_command p11-kit p11-kit
  needs_file /usr/libexec/p11-kit/p11-kit-server p11-kit
  background p11-kit server --foreground --provider "$softhsm" --name "$dir/socket" "pkcs11:token=$1"
  wait_until "p11-kit server's socket" test -S "$dir/socket"
}

token_main() {
  if [ "${1:-}" = --help ] && [ $# = 1 ]; then
    echo "usage: $token_name.sh start|stop DIR   (see tests/tokens/README.md)"
    exit 0
  fi
  if [ $# != 2 ] || { [ "$1" != start ] && [ "$1" != stop ]; }; then
    echo "usage: $token_name.sh start|stop DIR   (see tests/tokens/README.md)" >&2
    exit 2
  fi
  dir=$(realpath -m -- "$2")
  [[ $dir =~ ^/[A-Za-z0-9._/-]+$ ]] || failed "DIR may hold letters, digits and . _ / - alone: $dir"
  if [ "$1" = stop ]; then stop; else start; fi
}

start() {
  mkdir -p "$dir"
  [ -z "$(ls -A "$dir")" ] || failed "$dir is not empty"
  echo "$token_name" >"$dir/token"
  touch "$dir/env" "$dir/log" "$dir/processes"
  trap 'status=$?; [ "$status" = 0 ] || stop; exit "$status"' EXIT
  set_init_args ''
  set_launcher
  start_token
}

stop() {
  [ -e "$dir" ] || return 0
  [ -f "$dir/token" ] || { echo "$token_name: not made by this script: $dir" >&2; exit 1; }
  end_processes
  rm -rf "$dir"
}
