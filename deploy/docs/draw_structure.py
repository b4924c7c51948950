#!/usr/bin/env python3
"""Draws the folders of src/ and the includes between them as an SVG.

draw_structure.py SOURCE_DIRECTORY SVG [--check]
  A box is a folder with its number of files and lines; a box includes only boxes below it. A dark arrow is an include
  that no longer path implies, a light one an include beside a longer path. Every folder may include include/assertion.
  --check: writes nothing; exit status 1 when the file is not what would be drawn.
"""
import pathlib
import re
import sys

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 44, 40, 54, 20


def read(source):
    """({folder: (files, lines)}, {folder: set of folders that it includes})."""
    folders = {path.name for path in source.iterdir() if path.is_dir()}
    sizes = {}
    arrows = {folder: set() for folder in folders}
    for folder in folders:
        files = sorted(path for path in (source / folder).rglob('*') if path.suffix in ('.h', '.cc'))
        lines = 0
        for path in files:
            text = path.read_text(encoding='utf-8')
            lines += text.count('\n')
            for included in re.findall(r'^#include "([a-z0-9_]+)/', text, re.MULTILINE):
                if included in folders and included != folder:
                    arrows[folder].add(included)
        sizes[folder] = (len(files), lines)
    return sizes, arrows


def reachable(arrows, start):
    found, todo = set(), [start]
    while todo:
        for below in arrows[todo.pop()]:
            if below not in found:
                found.add(below)
                todo.append(below)
    return found


def levels(arrows):
    """The folders by the length of their longest path down."""
    depth = {}

    def of(folder, path=()):
        if folder in path:
            sys.exit(f'draw_structure: a circle: {" -> ".join((*path, folder))}')
        if folder not in depth:
            depth[folder] = max((of(below, (*path, folder)) + 1 for below in arrows[folder]), default=0)
        return depth[folder]

    rows = {}
    for folder in sorted(arrows):
        rows.setdefault(of(folder), []).append(folder)
    return [rows[level] for level in sorted(rows, reverse=True)]


def draw(sizes, arrows):
    rows = levels(arrows)
    widest = max(len(row) for row in rows)
    width = 2 * MARGIN + widest * WIDTH + (widest - 1) * GAP_X
    height = 2 * MARGIN + len(rows) * HEIGHT + (len(rows) - 1) * GAP_Y
    place = {}
    for y, row in enumerate(rows):
        # Every second row is shifted, so that an arrow past a row seldom crosses a box.
        left = (width - len(row) * WIDTH - (len(row) - 1) * GAP_X) / 2 + (GAP_X * 0.75 if y % 2 else 0)
        for x, folder in enumerate(row):
            place[folder] = (round(left + x * (WIDTH + GAP_X)), MARGIN + y * (HEIGHT + GAP_Y))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="13">',
           '<title>The folders of src/ and what they include</title>',
           '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
           '<path d="M0 0 8 4 0 8z" fill="context-stroke"/></marker></defs>',
           f'<rect width="{width}" height="{height}" fill="#fff"/>']
    lines = []
    for folder in sorted(arrows):
        for below in sorted(arrows[folder]):
            implied = any(below in reachable(arrows, other) for other in arrows[folder] if other != below)
            (x1, y1), (x2, y2) = place[folder], place[below]
            lines.append((not implied, f'<path d="M{x1 + WIDTH // 2} {y1 + HEIGHT}L{x2 + WIDTH // 2} {y2}" fill="none" '
                          f'stroke="{"#bbb" if implied else "#246"}" stroke-width="{1 if implied else 1.6}" '
                          'marker-end="url(#tip)"/>'))
    out += [line for _, line in sorted(lines)]
    for folder, (x, y) in sorted(place.items()):
        files, count = sizes[folder]
        out += [f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="#eef3f8" stroke="#246"/>',
                f'<text x="{x + WIDTH // 2}" y="{y + 19}" text-anchor="middle" font-weight="bold">{folder}</text>',
                f'<text x="{x + WIDTH // 2}" y="{y + 35}" text-anchor="middle" font-size="11">{files} files</text>']
    return '\n'.join([*out, '</svg>', ''])


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ['--check']):
        sys.exit(__doc__)
    svg = pathlib.Path(sys.argv[2])
    text = draw(*read(pathlib.Path(sys.argv[1])))
    if not sys.argv[3:]:
        svg.write_text(text, encoding='utf-8')
    elif not svg.exists() or svg.read_text(encoding='utf-8') != text:
        sys.exit(f'{svg} is not what src/ is now: cmake --build --preset release --target graph')


main()
