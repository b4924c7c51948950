#!/usr/bin/env bash
# man.sh PROGRAM SECTION: its manual page, on standard output, made of nothing but what its --help says, and that of
# every subcommand.
set -euo pipefail
export LC_ALL=C.UTF-8

[ $# = 2 ] || { echo "usage: deploy/man.sh PROGRAM SECTION" >&2; exit 2; }
name=$(basename "$1") program=$1 section=$2

help_of() { "$program" "$@" --help | sed "s|^\(Usage: \).*/$name|\1$name|"; }

escaped() { sed 's/\\/\\e/g; s/-/\\-/g; s/^\([.'\'']\)/\\\&\1/'; }

# Headings stand in the first column and end with a colon. Options become tagged paragraphs, other sections keep their
# lines; lists of subcommands are left to their own sections. The whole program's summary and usage stand elsewhere.
body() {   # .SH or .PP: what a heading becomes
  escaped | awk -v heading="$1" '
    NR == 1 { first = $0; next }
    /^Usage: / {
      sub(/^Usage: */, "")
      if (heading != ".SH") print ".PP\n\\fB" $0 "\\fR\n.PP\n" first
      next
    }
    /^[A-Za-z][^ ]*.*:$/ && !/^ / {
      if (kept) print ".EE"
      kept = 0; title = $0; sub(/:$/, "", title); kind = tolower(title)
      if (kind == "positionals") kind = "options"
      if (kind == "subcommands" || kind == "options") next
      print heading " \"" (heading == ".SH" ? toupper(title) : title) "\"\n.EX"; kept = 1; next
    }
    /^\[Option Group: / { gsub(/^\[Option Group: |\]$/, ""); print ".PP\n" $0 ":"; kind = "options"; next }
    tolower($0) ~ /^ *options:$/ { next }
    kind == "subcommands" { next }
    kept { print; next }
    kind == "options" && match($0, /^ +/) {
      indent = RLENGTH; sub(/^ +/, "")
      if (indent > 8) { print; next }
      at = match($0, /  +/)
      print ".TP\n\\fB" (at ? substr($0, 1, at - 1) : $0) "\\fR"
      if (at) print substr($0, at + RLENGTH)
      next
    }
    NF { if (kind) print ".PP"; kind = ""; print }
    END { if (kept) print ".EE" }'
}
subcommands() {   # the words under that heading, one a line
  awk 'tolower($0) == "subcommands:" { on = 1; next } on && /^  [^ ]/ { print $1; next } on && !/^ / { on = 0 }'
}
commands() {   # WORD...: its own section, then those of what it holds
  local help sub
  help=$(help_of "$@")
  printf '.SS "%s %s"\n' "$name" "$*" | sed 's/-/\\-/g'
  if [ $# = 1 ] && [ -n "$(subcommands <<<"$help")" ]; then
    head -n 1 <<<"$help" | escaped   # a noun: its verbs say the rest
  else
    body .PP <<<"$help" | sed -E 's/^\.PP "(.*)"$/.PP\n\1:/'
  fi
  for sub in $(subcommands <<<"$help"); do commands "$@" "$sub"; done
}

help=$(help_of)
summary=$(head -n 1 <<<"$help")
summary=${summary#"$name" } summary=${summary%.}
printf '.TH %s %s "" "%s"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n\\fB%s\\fR\n.SH OPTIONS\n' \
  "${name^^}" "$section" "$("$program" --version | head -n 1)" "$name" "$(escaped <<<"$summary")" \
  "$(sed -n 's/^Usage: *//p' <<<"$help" | escaped)"
body .SH <<<"$help"
if [ -n "$(subcommands <<<"$help")" ]; then
  printf '.SH COMMANDS\n'
  for word in $(subcommands <<<"$help"); do commands "$word"; done
fi
[ "$name" = assertiond ] && other='assertionctl(1)' || other='assertiond(8)'
printf '.SH "SEE ALSO"\n\\fB%s\\fR, and /usr/share/doc/assertiond/README.md.gz\n' "${other%(*}\\fR(${other#*(}"
