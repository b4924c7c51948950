#!/usr/bin/python3
"""usage: write_compatibility.py PAGE ROW...
       write_compatibility.py PAGE --check ROW
       write_compatibility.py [PAGE] --speed MEASURED...

Writes hsm-config/compatibility.md from the rows (NAME.row.json) that the contract suite has left. With --check: fails when
the row of that token is another on the page. Signatures, which vary by machine, are not compared, and a token of another
version than the page's is not either. With --speed: prints the table of what tests/bench/tokens.sh has measured
(NAME.speed.json), and puts it in its place on the page.
"""
import json
import pathlib
import statistics
import sys

INTRODUCTION = """# Compatibility, as measured

Do not edit: `cmake --build --preset release --target compatibility` runs the contract suite (`tests/contract`) on every token and
writes this page. CTest `contract.NAME` runs it on one token and fails when that token's row changes. *Signatures*: RS256
signatures a second by the module alone in one session, on the machine that wrote this page, not checked. A token of another
version is not compared.

- *keys*: the token makes a key that custody accepts. *not asked*: attributes of the template that the token refused, and that
  are left out from then on. *accepted*: attributes that it does not show as custody requires, accepted in `accept_unshown`.
- *ledger*: where it is kept, on the token or only in a file. *certificates*: stored on the token. NSS stores that of a key and not that of its issuer beside it: one label is for one subject.
- *provider*: OpenSSL signs through pkcs11-provider. Where it does not, certificates and requests are signed through our own session.
- *sessions*: those that sign. *reload*: keys are found again after C_Finalize and C_Initialize.
- *custody trial*: the ways out of the token that PKCS#11 closes for a key, tried on a throw-away key."""

NOT_TRIED = """## Not tried

Kryoptic: no package of that name, or that mentions it, in bookworm, bookworm-backports, trixie, trixie-backports, forky and sid
(`apt-cache search kryoptic`; `apt-cache policy kryoptic libkryoptic-pkcs11 rust-kryoptic`; 2026-11-29)."""

SPEED = '## Signatures a second through the service'

COLUMNS = (('keys', 'keys'), ('not asked', 'not_asked'), ('accepted', 'unshown'), ('ledger', 'ledger'),
           ('certificates', 'certificates'), ('provider', 'provider'), ('sessions', 'sessions'), ('reload', 'reload'),
           ('custody trial', 'custody'))
OF_PERSONALITIES = (*COLUMNS, ('algorithms', 'algorithms'))
VARYING = (('signatures', 'signatures'), ('version', 'version'))


def cell(row, key):
    if key == 'version':
        return f'{row["module"]}; {row["model"]}'
    if key == 'algorithms' and row['keys'] != 'yes':
        return '-'
    if key == 'algorithms':
        return ', '.join(pair.split(': ')[0] for pair in row['mechanisms'].split(', '))
    value = row.get(key, '-')
    return (', '.join(value) or '-') if isinstance(value, list) else str(value)


def cells(row, columns):
    return [cell(row, key).replace('|', '\\|') for _, key in columns]


def is_personality(row):
    return (pathlib.Path(__file__).parent.parent / 'tests/faulty_hsm/personalities' / f'{row["token"]}.json').exists()


def table(rows, columns):
    lines = [f'| token | {" | ".join(title for title, _ in columns)} |', '| --- |' + ' --- |' * len(columns)]
    return lines + [f'| {row["token"]} | {" | ".join(cells(row, columns))} |' for row in rows]


def mechanisms(row):
    """What it signs with, algorithms of one mechanism together."""
    by_mechanism = {}
    for pair in filter(None, row['mechanisms'].split(', ')):
        algorithm, mechanism = pair.split(': ')
        by_mechanism.setdefault(mechanism, []).append(algorithm)
    return ', '.join(f'{", ".join(names)}: `{mechanism}`' for mechanism, names in by_mechanism.items())


def mechanism_line(row):
    return f'| {row["token"]} | {mechanisms(row)} |'


def rates(measured, kind):
    """the best of the widths, by the medians of its turns: (signatures a second, sessions or calls in flight)."""
    found = [(statistics.median(series['per_second']), series['width']) for series in measured['series']
             if series['kind'] == kind]
    return max(found)


def speed(paths):
    rows = {pathlib.Path(path).name.removesuffix('.speed.json'): json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
            for path in sorted(paths)}
    one = next(iter(rows.values()))
    lines = [SPEED, '',
             'RS256 with RSA-2048, audit log on. *loop*: C_SignInit and C_Sign on the same token in the same run, the best of 1, 2 '
             'and 4 sessions (of the TPM: of 1).', f'*unary*: 16 calls in flight; *stream*: 64. Medians of {one["rounds"]} turns of '
             f'{one["seconds"]:g} s each on {one["cores"]} cores. `tests/bench/tokens.sh --page` writes this table.', '',
             '| token | loop | sessions | unary | stream | stream / loop |', '| --- | ---: | ---: | ---: | ---: | ---: |']
    for name, measured in rows.items():
        raw, sessions = rates(measured, 'raw')
        unary, stream = rates(measured, 'unary')[0], rates(measured, 'stream')[0]
        lines.append(f'| {name} | {raw:,.0f} | {sessions} | {unary:,.0f} | {stream:,.0f} | {stream / raw:.2f} |')
    return '\n'.join(lines) + '\n'


def with_speed(text, section):
    """The section goes to the page's end."""
    return text.split(SPEED)[0].rstrip('\n') + '\n\n' + section if section else text


def speed_of(page):
    _, found, rest = page.read_text(encoding='utf-8').partition(SPEED) if page.exists() else ('', '', '')
    return found + rest


def write(rows):
    tokens = [row for row in rows if not is_personality(row)]
    personalities = [row for row in rows if is_personality(row)]
    out = [INTRODUCTION, '', '## Tokens', '', 'Each is made by `tests/tokens/NAME.sh`.', '',
           *table(tokens, COLUMNS + VARYING), '', '## Personalities', '',
           'SoftHSM2 behaving as [vendors.md](vendors.md) says of these HSMs. **No such HSM was tried.**', '',
           *table(personalities, OF_PERSONALITIES), '', '## Mechanisms that sign', '', '| token | |', '| --- | --- |',
           *(mechanism_line(row) for row in tokens), '', NOT_TRIED]
    return '\n'.join(out) + '\n'


def check(page, row):
    lines = page.read_text(encoding='utf-8').split('\n')
    if not is_personality(row) and not any(line.startswith(f'| {row["token"]} |') and f'| {cell(row, "version")} |' in line
                                           for line in lines):
        print(f'not compared: {page} has no row of {row["token"]}, {cell(row, "version")}')
        return
    columns = OF_PERSONALITIES if is_personality(row) else COLUMNS
    expected = [f'| {row["token"]} | {" | ".join(cells(row, columns))} |']
    expected += [] if is_personality(row) else [mechanism_line(row)]
    wrong = [line for line in expected if not any(other.startswith(line) for other in lines)]
    if wrong:
        sys.exit('the token is another than hsm-config/compatibility.md says; if that is right: cmake --build --preset '
                 'release --target compatibility. The row now:\n' + '\n'.join(wrong))


def main():
    if '--speed' in sys.argv[1:3]:
        at = sys.argv.index('--speed')
        section = speed(sys.argv[at + 1:])
        print(section, end='')
        if at == 2:
            page = pathlib.Path(sys.argv[1])
            page.write_text(with_speed(page.read_text(encoding='utf-8'), section), encoding='utf-8')
        return
    if len(sys.argv) < 3 or (sys.argv[2] == '--check' and len(sys.argv) != 4):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    page = pathlib.Path(sys.argv[1])
    if sys.argv[2] == '--check':
        check(page, json.loads(pathlib.Path(sys.argv[3]).read_text(encoding='utf-8')))
    else:
        rows = [json.loads(pathlib.Path(path).read_text(encoding='utf-8')) for path in sorted(sys.argv[2:])]
        page.write_text(with_speed(write(rows), speed_of(page)), encoding='utf-8')


main()
