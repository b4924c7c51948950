#!/usr/bin/env bash
# docs_test.sh BIN_DIR: checks the documents: required content is there, and files, links and functions that a document names
# exist. tests/e2e/pages.test.mjs runs their commands. Last line: "N passed, N failed".
set -euo pipefail
export LC_ALL=C.UTF-8

[ $# = 1 ] || { echo "usage: tests/docs_test.sh BIN_DIR" >&2; exit 2; }
bin=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
readonly runbook=deploy/runbook.md rules=deploy/prometheus/assertiond.rules.yml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed=0 failed=0
check() {   # WHAT COMMAND...: its output is shown when it fails
  if "${@:2}" >"$work/out" 2>&1; then
    passed=$((passed + 1)); echo "ok      $1"
  else
    failed=$((failed + 1)); echo "not ok  $1"; tail -n 30 "$work/out" | sed 's/^/        /'
  fi
}

# ---- what must be there ----
headings() { sed -n 's/^###* //p' "$1"; }
anchors() { headings "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'; }
each() {   # COMMAND...: for every line read, which must be some; says which fail
  local line count=0 wrong=0
  while IFS= read -r line; do
    count=$((count + 1))
    "$@" "$line" || { echo "$line"; wrong=1; }
  done
  [ $count -gt 0 ] || { echo "there is none"; return 1; }
  [ $wrong = 0 ]
}
has_section() { headings "$runbook" | grep -E "^$1( |\$)" >/dev/null; }
alerts() { sed -n 's/^ *- alert: //p' "$rules"; }
statuses() { "$1" --help | sed -nE '/^Exit status:/,/^$/s/^ +([0-9]+) .*/\1/p'; }
is_alert() { alerts | grep -xF "$1" >/dev/null; }
check "every alert has a section of the runbook" each has_section < <(alerts)
check "every section of an alert has its alert" each is_alert < <(sed -nE 's/^### (Assertiond.*)/\1/p' "$runbook")
check "every exit status of assertiond has a section" each has_section < <(statuses "$bin/assertiond")
in_table() { sed -n '/^### assertionctl/,$p' "$runbook" | grep "^| $1 |" >/dev/null; }
check "every exit status of assertionctl is in the runbook" each in_table < <(statuses "$bin/assertionctl")
links_there() {   # DOCUMENT: relative links and their anchors
  local link file anchor
  while IFS= read -r link; do
    file=${link%%#*} anchor=${link#"${link%%#*}"}
    file=${file:+$(dirname "$1")/$file}
    if [ ! -e "${file:-$1}" ]; then echo "$1: $link"; return 1; fi
    if [ -n "$anchor" ] && ! anchors "${file:-$1}" | grep -xF "${anchor#\#}" >/dev/null; then echo "$1: $link"; return 1; fi
  done < <(grep -oE '\]\([^)]+\)' "$1" | sed -E 's/^\]\(|\)$//g' | grep -v '^https\?:')
}
for document in ./*.md deploy/*.md deploy/docs/*.md hsm-config/*.md deploy/clients/*.md deploy/clients/*/*.md; do
  check "$document: its links lead somewhere" links_there "$document"
done
runbook_link() { [ "${1%%#*}" = "$runbook" ] && anchors "$runbook" | grep -xF "${1#*#}" >/dev/null; }
check "every alert links its section" each runbook_link < <(sed -n 's/^ *runbook_url: //p' "$rules")
same_number() { [ "$(alerts | wc -l)" = "$(grep -c 'runbook_url:' "$rules")" ]; }
check "each alert has one link" same_number
exists() {   # FILE or FILE#TEXT
  local file=${1%%#*}
  [ -f "$file" ] && { [ "$file" = "$1" ] || grep -qF -- "${1#*#}" "$file"; }
}
claims() { grep -oE '`(src|tests|include|deploy|hsm-config)/[^`]+`' "$1" | tr -d '`' | sed -nE 's/^([^# ]+(\.[a-z]+)(#.*)?)( .*)?$/\1/p' | grep -v '\*'; }
check "what the threat model calls as its witness exists" each exists < <(claims deploy/threat-model.md)
for document in CONTRIBUTING.md "$runbook" deploy/rotation.md $(grep -lE '`(src|tests|include|deploy|hsm-config)/' deploy/docs/*.md); do
  check "$document: the files that it names exist" each exists < <(claims "$document")
done

named() {   # FILE:FUNCTION
  grep -qE "\b${1#*:}\(" "${1%%:*}"
}
functions() {   # of rows like: `src/FILE` (`A`, `B`)
  grep -oE '`src/[a-z_0-9/]+\.cc` \([^)]*\)' "$1" | while IFS= read -r row; do
    grep -oE '`[A-Z][A-Za-z]+`' <<<"$row" | tr -d '`' | sed "s#^#$(sed -E 's/`([^`]+)`.*/\1/' <<<"$row"):#"
  done
}
check "the data's way: the functions that it names are where it says" each named < <(functions deploy/docs/data-way.md)

# A name in backticks, alone or as the end of one like `sessions_limit`, `_open`.
told() { grep -qE "\`(assertiond_)?$1\`" deploy/docs/metrics.md || grep -qF "\`_${1#*_}\`" deploy/docs/metrics.md; }
metrics() { grep -ohE '"assertiond_[a-z_]+"' src/observe/metrics.cc | sed -E 's/"assertiond_(.*)"/\1/' | sort -u; }
check "metrics.md describes each metric" each told < <(metrics)

check "log-lines.md has the words of each warning and error that src logs" /usr/bin/python3 tests/log_lines.py src deploy/docs/log-lines.md

offline_of() { sed -n '/^offline() {/,/^}/p' "$1"; }
same_offline() { [ -n "$(offline_of deploy/docs/install.md)" ] && diff <(offline_of deploy/docs/install.md) <(offline_of "$1"); }
for document in "$runbook" deploy/docs/mutual-tls.md; do
  check "$document: offline is that of install.md, which tests/package_test.sh runs" same_offline "$document"
done

# To update: assertiond --config-reference >deploy/docs/configuration.md
reference_is_fresh() { diff deploy/docs/configuration.md <("$bin/assertiond" --config-reference); }
check "configuration.md is what assertiond --config-reference prints" reference_is_fresh
readme_is_short() { [ "$(wc -l <README.md)" -le 200 ]; }
check "README has at most 200 lines" readme_is_short
is_indexed() { grep -qF "]($(basename "$1"))" deploy/docs/README.md; }
check "the index names each page" each is_indexed < <(ls deploy/docs/*.md | grep -v '/README.md$')

# ---- the version: one for all, that of CMakeLists.txt ----
version=$(sed -nE 's/^project\(assertiond VERSION ([0-9.]+) .*/\1/p' CMakeLists.txt)
says_version() { [[ -n $version && " $("$bin/$1" --version) " =~ [\ v]"$version"[^0-9.] ]]; }
check "assertiond says version $version" says_version assertiond
check "assertionctl says version $version" says_version assertionctl
has_version() { grep -qF -- "$(printf -- "${1#*#}" "$version")" "${1%%#*}" || { echo "expected: ${1#*#}"; return 1; }; }
check "protos, client packages and pages have version $version" each has_version < <(
  printf '%s#// Part of assertiond %%s.\n' proto/assertion/v1/*.proto
  cat <<'PLACES'
CHANGELOG.md#[%s]
SECURITY.md#%s is
deploy/clients/go/README.md#@v%s
deploy/clients/java/README.md#:%s`
deploy/clients/java/build.sh#-%s.jar
deploy/clients/java/pom.xml#<version>%s</version>
deploy/clients/node/README.md#-%s.tgz
deploy/clients/node/package.json#"version": "%s"
deploy/clients/python/README.md#-%s-py3
deploy/clients/python/pyproject.toml#version = "%s"
PLACES
)

# ---- the rules ----
check "promtool takes the alert rules" promtool check rules "$rules"
check "each alert fires on what it is for, and on nothing else" promtool test rules tests/observe/assertiond.rules.test.yml

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
