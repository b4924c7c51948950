# Sourced by the scripts here that count what they check.

passed=0 failed=0
check() {   # WHAT COMMAND...: one line, and the command's output when it fails
  local what=$1 said
  shift
  if said=$("$@" 2>&1); then
    passed=$((passed + 1)); echo "ok      $what"
  else
    failed=$((failed + 1)); echo "FAILED  $what"
    tail -n 25 <<<"$said" | sed 's/^/        /'
  fi
}
refused() { ! "$@"; }
status_is() {   # STATUS COMMAND...
  local wanted=$1 status=0
  shift
  "$@" || status=$?
  [ "$status" = "$wanted" ] || { echo "exit status $status, not $wanted"; return 1; }
}
