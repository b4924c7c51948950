#!/usr/bin/python3
"""usage: write_vendors.py PERSONALITIES PAGE [--check]

Writes hsm-config/vendors.md from the personalities of tests/faulty_hsm, or with --check fails when the page is stale. A
personality is a JSON object:

  name, module        of the HSM and its PKCS#11 module
  hsm                 an example of the configuration's field hsm
  not_tried           why the HSM itself was not tried
  attributes_kept_by  what enforces the attributes of a key
  cannot              why assertiond cannot use it; absent: it can
  lacks               of "keys", "certificates", "data objects" and "provider": what the contract suite sees refused
  largest_data        octets of the largest data object, where that is less than 16,000
  pin_prefix          what stands before the PIN in the tests
  facts               fact, source, and the traits (tests/faulty_hsm/traits.h) that make SoftHSM2 behave so
  assumed             traits without a source; "unknown" says so in words
  advice              for operators, in Markdown
  unknown             what no source was found for, and what the tests do instead
"""
import json
import pathlib
import sys

INTRODUCTION = """# HSMs, by vendor

Do not edit: `cmake --build --preset release --target vendors` generates this page from `tests/faulty_hsm/personalities/`, and
CTest `vendors` fails when it is stale. [compatibility.md](compatibility.md) shows what the contract suite found on the tokens that
run in CI. [softhsm2.md](softhsm2.md) and [tpm2.md](tpm2.md) say how to set those two up.

The HSMs below were **not tried**: none is here. Each fact comes from the source that stands beside it. CI runs the contract suite
on SoftHSM2 behaving as these facts say (`ctest -R '^contract[.]'`), so assertiond serves an HSM that behaves so; whether the HSM
does, only the HSM can tell. On a new token run `assertionctl doctor --config FILE --try` first."""

PROOF = """## What an attribute proves

`CKA_NEVER_EXTRACTABLE`, `CKA_ALWAYS_SENSITIVE` and `CKA_LOCAL` are the module's word. What stands behind it differs:

| token | kept by | so a report with it shows |
| --- | --- | --- |
| {hardware} | the HSM's firmware (by their vendors' documentation) | what the HSM enforces |
| TPM through tpm2-pkcs11 | a SQLite file beside the TPM | what the file says; the TPM's own attributes show the rest |
| openCryptoki's software token, NSS | files, encrypted under the PIN | what the software says: it is no HSM |
| SoftHSM2 | a file, encrypted under the PIN | that nobody asked the module otherwise; file and PIN together are the key |

Therefore attributes are read again at every load. A report says this of its token (`attributes_are`, and the first line on
attributes of `key evidence verify`) and names module, manufacturer, model and firmware. A vendor's own attestation, where there
is one, belongs beside the report in an audit."""


def needs(personality):
    """What the configuration needs, as sentences."""
    out = []
    if 'data objects' in personality['lacks']:
        out.append('It stores no data objects that assertiond could use: set `"ledger": "file:/…"`.')
    if 'certificates' in personality['lacks']:
        out.append('It stores no certificates through PKCS#11.')
    return out


def section(personality):
    out = [f'## {personality["name"]}', '']
    if 'cannot' in personality:
        out += [f'**Not usable: {personality["cannot"]}.**', '']
    out += [f'Module `{personality["module"]}`; not tried: {personality["not_tried"]}.', '',
            f'`"hsm": "{personality["hsm"]}"`', '']
    out += [f'- {line}' for line in needs(personality) + personality['advice']] + ['']
    out += ['| fact | source | tested as |', '| --- | --- | --- |']
    for fact in personality['facts']:
        if not fact.get('fact') or not fact.get('source'):
            sys.exit(f'write_vendors: {personality["name"]}: a fact without its text or its source')
        traits = ', '.join(f'`{trait}`' for trait in fact.get('traits', [])) or 'not tested'
        out.append(f'| {fact["fact"]} | {fact["source"]} | {traits} |')
    if personality['unknown']:
        out += ['', 'Not found:', ''] + [f'- {line}' for line in personality['unknown']]
    return out + ['']


def write(folder):
    personalities = [json.loads(path.read_text(encoding='utf-8')) for path in sorted(folder.glob('*.json'))]
    if not personalities:
        sys.exit(f'write_vendors: no personalities in {folder}')
    out = [INTRODUCTION, '']
    for personality in personalities:
        out += section(personality)
    hardware = ', '.join(each['name'] for each in personalities if each['attributes_kept_by'] == "the HSM's firmware")
    return '\n'.join([*out, PROOF.format(hardware=hardware)]) + '\n'


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ['--check']):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    folder, page = map(pathlib.Path, sys.argv[1:3])
    text = write(folder)
    if not sys.argv[3:]:
        page.write_text(text, encoding='utf-8')
    elif not page.exists() or page.read_text(encoding='utf-8') != text:
        sys.exit(f'{page} is stale: cmake --build --preset release --target vendors')


main()
