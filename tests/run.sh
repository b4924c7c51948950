#!/usr/bin/env bash
# Everything that CI runs, from a fresh clone. Last line: "N passed, N failed", summed over all steps.
set -euo pipefail
export LC_ALL=C.UTF-8

steps=(deps release format tidy asan tsan fuzz quickstart package bench siege)
usage() {
  cat <<USAGE
usage: tests/run.sh [--only STEP]... [--long]
  deps        installs what building and testing need
  release     builds what is shipped, with warnings as errors; all tests: units, SoftHSM2, service, assertionctl, end to
              end, buf lint; the units alone are left to asan and tsan when those run as well
  format      clang-format over our C++
  tidy        clang-tidy over src
  asan        builds with AddressSanitizer and UndefinedBehaviorSanitizer; units, SoftHSM2, service, a reduced fault matrix
  tsan        builds with ThreadSanitizer; the tests of the core and of p11
  fuzz        builds the fuzzers; runs each for 10 seconds on its corpus
  quickstart  deploy/quickstart.sh, twice and more, and what it leaves behind
  package     with --long or --only: the Debian package, run under systemd on a bare system; the container
  bench       the benchmark runs; its figures are not judged
  siege       with --long or --only: an hour of all attacks at once, while a backend must lose nothing; then 10,000
              losses of objects, sessions and processes, after each of which it must sign again, and a network
              HSM that is cut off for minutes
  --only STEP run this step alone (may be given again)
  --long      fuzz each for five minutes, all tests under the sanitizers, repeat the thread tests, measure properly
Logs: build/ci/STEP.log. Exit status: 0 all passed; 1 something failed; 2 wrong usage.
USAGE
}

only=() long=''
while [ $# -gt 0 ]; do
  case $1 in
    --only)
      [[ " ${steps[*]} " == *" ${2:-} "* && -n ${2:-} ]] ||
        { echo "run.sh: --only needs one of: ${steps[*]}" >&2; exit 2; }
      only+=("$2"); shift ;;
    --long) long=1 ;;
    -h|--help) usage; exit 0 ;;
    *) echo "run.sh: unknown argument: $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done
# The package and the siege are tried when they are asked for: CI's time does not suffice for them as well.
[ -n "$long" ] || mapfile -t steps < <(printf '%s\n' "${steps[@]}" | grep -vxE 'package|siege')
[ ${#only[@]} = 0 ] || steps=("${only[@]}")

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
logs=$root/build/ci
mkdir -p "$logs"
jobs=$(nproc)
unset SOFTHSM2_CONF ASSERTIOND_SERVER
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1   # what another clone has compiled counts

build() {   # PRESET [-D OPTION=VALUE] [OPTION OF cmake --build]...
  # A library's files as one, which saves half of the time, except in what is shipped.
  local options=(-D CMAKE_UNITY_BUILD=ON -D CMAKE_UNITY_BUILD_BATCH_SIZE=10)
  [ "$1" != release ] || options=(-D ASSERTION_BUILD_TESTS=ON -D ASSERTION_WERROR=ON)
  local preset=$1
  shift
  if [ "${1:-}" = -D ]; then options+=("$1" "$2") && shift 2; fi
  cmake --preset "$preset" "${options[@]}" && cmake --build --preset "$preset" --parallel "$jobs" "$@"
}
# --timeout: for a test that names none of its own, so that none can hang for ever.
suite() {   # PRESET [OPTION OF ctest]...
  local without=()
  [ "$1" != tsan ] || without=("${fixed_addresses[@]}")
  "${without[@]}" ctest --preset "$1" --output-on-failure --no-tests=error --timeout 120 --parallel "$jobs" "${@:2}"
}
sources() { find include src tests -name '*.h' -o -name '*.cc'; }

# ThreadSanitizer of this compiler cannot place its memory where the kernel randomises addresses by more than 28 bits.
fixed_addresses=()
if setarch "$(uname -m)" -R true 2>/dev/null; then fixed_addresses=(setarch "$(uname -m)" -R); fi

# Bash ignores errexit in what stands before ||: a step joins its commands with && itself.
step_deps() { deploy/install-deps.sh build test; }
# One test more than there are cores, because those that run end to end wait for much of their time.
step_release() {
  local units=ON
  if [[ -z $long && " ${steps[*]} " == *' asan '* ]]; then units=OFF; fi
  build release -D ASSERTION_BUILD_UNITS=$units && suite release --parallel $((jobs + 1))
}
step_format() { local files; mapfile -t files < <(sources) && clang-format-19 --dry-run -Werror "${files[@]}"; }
step_tidy() {   # reads the generated headers, too; a library's files as one, which is what suspicious-include sees
  build tidy &&
    run-clang-tidy-19 -p build/tidy -j "$jobs" -quiet -warnings-as-errors='*' -checks=-bugprone-suspicious-include \
      "^$root/(build/tidy/)?src/.*\.cxx\$|^$root/src/.*\.cc\$" 2>&1 |
    sed -E '/^$|^[0-9]+ warnings? generated|^\[ *[0-9]+\//d'   # what it counted in headers of others, and progress
}
# The tests of tests/CMakeLists.txt whose label is one of LABELS (a|b).
tests_of() { sed -nE "s/^assertion_test\((\w+) ($1)\$/\1/p" tests/CMakeLists.txt; }
step_asan() {   # within CI's time: of what runs end to end the faults alone, and nothing that is killed all the time
  if [ -n "$long" ]; then
    build asan && suite asan
  else
    local targets
    mapfile -t targets < <(tests_of '\w+' | grep -vxE 'interruption_test|contract_test')
    build asan --target assertiond assertionctl faulty_hsm "${targets[@]}" &&
      suite asan --exclude-regex '^(e2e\..*|(interruption|contract)_test.*|docs|kubernetes|buf_lint|layering|faults_[^m].*)$'
  fi
}
step_tsan() {
  local targets   # not the whole program: gRPC itself is not built for this sanitizer
  mapfile -t targets < <(tests_of 'core|p11')
  [ ${#targets[@]} -gt 0 ] && build tsan --target "${targets[@]}" && suite tsan || return 1
  if [ -n "$long" ]; then
    suite tsan --repeat until-fail:10
  fi
}
fuzz_one() {   # TARGET SECONDS
  local log=build/fuzz/$1.log
  # What it finds goes to the first folder; the second is ours and stays as it is.
  mkdir -p "build/fuzz/corpus/$1" build/fuzz/found
  if "build/fuzz/bin/$1" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/found/$1-" "build/fuzz/corpus/$1" "tests/fuzz/corpus/$1" >"$log" 2>&1; then
    echo "fuzz: $1 passed"
  else
    echo "fuzz: $1 FAILED: its input is in build/fuzz/found"
    tail -n 30 "$log"
  fi
}
export -f fuzz_one
step_fuzz() {
  local seconds=10 targets verdicts failed
  [ -z "$long" ] || seconds=300
  build fuzz --target fuzzers && targets=$(cd build/fuzz/bin && ls -- *_fuzz) || return 1
  verdicts=$(xargs -P "$jobs" -I{} bash -c "fuzz_one {} $seconds" <<<"$targets")
  echo "$verdicts"
  failed=$(($(wc -l <<<"$targets") - $(grep -c '^fuzz: .* passed$' <<<"$verdicts" || true)))
  echo "fuzz: $(($(wc -l <<<"$targets") - failed)) passed, $failed failed"
  [ "$failed" = 0 ]
}
step_quickstart() { tests/quickstart_test.sh; }
step_package() { local deb; deb=$(deploy/package.sh) && tests/package_test.sh "$deb" && tests/container_test.sh build/release/bin; }
step_bench() {
  local options=(--short) peers=(--short) access_tokens=(--short) keys=(--keys 6 --seconds 1) tokens=(--rounds 1 --seconds 0.2 --tokens softhsm,softhsm_plain)
  [ -z "$long" ] || options=(--results build/ci) peers=() access_tokens=() keys=() tokens=()
  build release --target benchmarks &&
    tests/bench/run.sh build/release/bin "${options[@]}" && tests/bench/peers.sh build/release/bin "${peers[@]}" &&
    tests/bench/access_tokens.sh build/release/bin "${access_tokens[@]}" &&
    tests/bench/keys.sh build/release/bin "${keys[@]}" && tests/bench/tokens.sh build/release/bin "${tokens[@]}"
}

# For CTest it is short, and its figures are not judged; here they are in the log.
step_siege() {
  build release --target assertiond assertionctl example_client &&
    E2E_SIEGE_SECONDS=${E2E_SIEGE_SECONDS:-3600} tests/e2e/run.sh build/release/bin build/release/e2e \
      node --test --test-reporter=spec siege.test.mjs &&
    E2E_VANISHED_STEPS=${E2E_VANISHED_STEPS:-10000} E2E_VANISHED_SEED=$(date +%s) tests/e2e/run.sh build/release/bin \
      build/release/e2e node --test --test-reporter=spec vanished.test.mjs &&
    E2E_HANDSHAKES=1000 tests/e2e/run.sh build/release/bin build/release/e2e \
      node --test --test-reporter=spec tls_key.test.mjs &&
    E2E_NETWORK_SECONDS=${E2E_NETWORK_SECONDS:-180} E2E_NETWORK_ROUNDS=${E2E_NETWORK_ROUNDS:-2} \
      E2E_NETWORK_SEED=$(date +%s) tests/e2e/run.sh build/release/bin build/release/e2e \
      node --test --test-reporter=spec network_hsm.test.mjs
}

passed=0 failed=0 failures=()
signs='error:|^FAILED|\*\*\*|FAILED \(|^not ok|^ *✖'   # of what went wrong, in a log
# Adds up what a step's log counts: CTest's summaries, and lines "N passed, N failed". A step without either is one.
count() {   # LOG STATUS
  local p=0 f=0 line
  while IFS= read -r line; do
    if [[ $line =~ ([0-9]+)\ tests\ failed\ out\ of\ ([0-9]+) ]]; then
      f=$((f + BASH_REMATCH[1])) p=$((p + BASH_REMATCH[2] - BASH_REMATCH[1]))
    elif [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
      p=$((p + BASH_REMATCH[1])) f=$((f + BASH_REMATCH[2]))
    fi
  done < <(grep -E 'tests failed out of [0-9]+$|^(fuzz: )?[0-9]+ passed, [0-9]+ failed$' "$1")
  if [ "$2" != 0 ] && [ $f = 0 ]; then f=1; fi
  [ $((p + f)) -gt 0 ] || p=1
  passed=$((passed + p)) failed=$((failed + f))
  counted="$p passed, $f failed"
}

for step in "${steps[@]}"; do
  log=$logs/$step.log began=$SECONDS status=0
  printf '%-11s' "$step"
  "step_$step" >"$log" 2>&1 </dev/null || status=$?
  # A test that did not run has not passed.
  if grep -qE '\*\*\*Skipped|\*\*\*Not Run|\(Disabled\)' "$log"; then status=1; fi
  count "$log" "$status"
  printf '%5d s   %s\n' $((SECONDS - began)) "$counted"
  if [ "$status" != 0 ]; then
    echo "---- $step failed: $log"
    grep -nE "$signs" "$log" | cut -c1-240 | head -n 20 || true
    echo "---- its end"
    tail -n 40 "$log" | cut -c1-400
    echo "----"
    failures+=("$log")
    if [ "$step" = deps ]; then break; fi   # nothing after it can work
  fi
done

# Once more, in short, where whoever sees the last lines alone still sees it: what failed, and why.
reasons='^ *[A-Za-z]*Error( \[\w+\])?: |: Failure$'
if [ ${#failures[@]} -gt 0 ]; then
  { grep -hE "$signs" "${failures[@]}" | sed -E 's/^ +//' | sort -u | head -n 12
    grep -hE -A 4 "$reasons" "${failures[@]}" | sed -E 's/^ +//' | grep -vE '^(at |--$|$)' | head -n 16; } | cut -c1-160 || true
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
