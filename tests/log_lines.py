#!/usr/bin/env python3
"""log_lines.py SRC PAGE: the page has the words of each warning, error and critical line that SRC logs, and no others."""
import pathlib
import re
import sys

CALL = re.compile(r"spdlog::(?:warn|error|critical)\(|spdlog::level::(?:warn|err|critical)\b")
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
FEWEST_LETTERS = 6
LONGEST = 40  # octets of a piece that the page must have: it may leave out the end of a long line
MOST_WITHOUT_WORDS = 7  # calls that log text made elsewhere: what raises this needs words of its own on the page


def pieces(text):
    """What stays the same in a line: between places that a value fills."""
    return [piece.strip(" ,:;'()") for piece in re.split(r"\{\}|…", text)]


def told(piece):
    return len(re.findall(r"[a-zA-Z]", piece)) >= FEWEST_LETTERS


def logged(source):
    """Of each call: where it is, its literals, and their pieces."""
    for file in sorted(source.rglob("*.cc")):
        if file.name == "log.cc":  # counts and writes the lines of others
            continue
        text = file.read_text()
        for call in CALL.finditer(text):
            statement = re.sub(r'"\s*\n\s*"', "", text[call.start():text.index(";\n", call.start())])
            literals = LITERAL.findall(statement)
            found = [piece for literal in literals for piece in pieces(literal) if told(piece)]
            yield f"{file}:{text.count(chr(10), 0, call.start()) + 1}", literals, found


def main():
    source, page = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    text = page.read_text()
    lines = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    calls = list(logged(source))
    # A value may be empty, such as the HSM's name where there is one alone.
    known = "\n".join(form for _, literals, _ in calls for literal in literals for form in (literal, literal.replace("{}", "")))
    wrong = [f"{where}: the page lacks: {piece}" for where, _, found in calls for piece in found if piece[:LONGEST] not in text]
    wrong += [f"{page}: no line of the log has: {piece}" for line in lines for piece in pieces(line)
              if told(piece) and piece not in known]
    without = [where for where, _, found in calls if not found]
    if len(without) > MOST_WITHOUT_WORDS:
        wrong.append(f"calls without words: {' '.join(without)}")
    if len(calls) < 50 or len(lines) < 50:
        wrong.append(f"{len(calls)} calls and {len(lines)} lines are found: too few")
    sys.exit("\n".join(wrong) or 0)


main()
