#!/usr/bin/env bash
# CLI11 2.1.2 takes a word of the command line apart that begins with [ and ends with ].
#
# Surprise:  where an option or a positional is a vector of strings, the word "[a,b]" comes as the two words "a" and "b",
#            "[a]" as "a", and "[]" not at all, also behind "--". Quotes of the shell do not help.
# Document:  the README of CLI11 knows brackets for vectors in configuration files alone. Asked for a way to take a command
#            that is to be run from behind "--", its maintainers advise a vector as the positional (issues 480, 481, 744 of
#            CLIUtils/CLI11).
# Matters:   a program such as env or nohup runs another command than it was given: `-- jq '[.a,.b]' file` runs
#            `jq .a .b file`, and `-- sh -c '[ -s a ] && [ -s b ]'` a script that is none. Take such words from argv.
# Version:   CLI11 2.1.2 (Debian libcli11-dev 2.1.2+ds-1). Seen 2026-11-30.
# Needs:     apt-get (with current package lists), dpkg, g++ with C++17. No root.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download libcli11-dev=2.1.2+ds-1 >apt.log 2>&1 || { cat apt.log >&2; exit 2; }
dpkg -x libcli11-dev_*.deb root

cat >run.cc <<'CC'
#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  CLI::App app;
  std::vector<std::string> command;
  app.add_option("command", command);
  CLI11_PARSE(app, argc, argv);
  for (const auto& word : command) {
    std::printf("<%s>", word.c_str());
  }
  std::puts("");
}
CC
g++ -std=c++17 -isystem root/usr/include -o run run.cc >g++.log 2>&1 || { cat g++.log >&2; exit 2; }

cat >stated <<'S'
<jq><.a><.b><file>
<printf><x>
<sh><-c>< -s a ] && [ -s b >
S
echo "CLI11 2.1.2, the words behind --, each in < >:"
echo 'expected: <jq><[.a,.b]><file>, <printf><x><[]>, <sh><-c><[ -s a ] && [ -s b ]>'
echo "seen:"
{ ./run -- jq '[.a,.b]' file; ./run -- printf x '[]'; ./run -- sh -c '[ -s a ] && [ -s b ]'; } >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: words in brackets are taken apart."
