#!/usr/bin/python3 -B
"""Writes the API reference from the comments of the protos and from recorded example calls.

write_api_reference.py EXAMPLES PAGE [--check]
  Every method, field, enum and enum value must have a comment, and every method an example.
  EXAMPLES is written by tests/e2e/api_reference.test.mjs.
  --check: writes nothing; exit status 1 when PAGE is not what would be written.
Needs protoc and python3-protobuf.
"""
import collections
import json
import pathlib
import re
import sys

from google.protobuf import descriptor_pb2

import proto_files

FIELD = descriptor_pb2.FieldDescriptorProto
OWN_PACKAGE = '.assertion.v1.'
# Field numbers in descriptor.proto, which make up the paths of comments.
MESSAGE, ENUM, SERVICE, MEMBER = 4, 5, 6, 2

INTRODUCTION = """# API reference
<!-- run by: tests/e2e/api_reference.test.mjs, deploy/docs/api_examples.json -->

Do not edit: `cmake --build --preset release --target api-reference` generates this page from the comments in `proto/` and the
examples in `deploy/docs/api_examples.json`. CTest `api_reference` fails when the page is stale. `tests/e2e/api_reference.test.mjs`
calls the examples, in the order of that file, on a live server with one client, `orders`, whose binding is `jwks` and whose key
is for all purposes. It fails when an answer has another form than here.

`deploy/docs/call.py` calls a method with JSON, over the Unix socket or with mutual TLS; `--help` lists its options. The JSON is
[Protobuf's](https://protobuf.dev/programming-guides/json/): a 64-bit integer and `bytes` (base64) are strings, a `Duration` is
`"300s"`, a `Timestamp` is RFC 3339 in UTC, and an answer omits fields that are unset, empty or 0. assertionctl prints
[JSON of its own](scripts.md#not-the-json-of-the-api), with other names and forms. Words in capitals such as `KID_1` stand for values
that differ from run to run. A word stands for one value on the whole page; only `TIME`, `SEQUENCE` and `HASH` stand for any instant,
number and hash.

assertiond answers gRPC reflection as `grpc.reflection.v1alpha`, so grpcurl needs no protos. Since version 1.8.8 it asks for `v1` first
and falls back. Not run by a test, as it is in no package of Debian:
`grpcurl -plaintext -unix -d '{"client_id": "orders"}' /run/assertiond/assertiond.sock assertion.v1.AssertionService/CreateAssertion`."""


def escape(text):
    return text.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;').replace('|', '\\|')


class Protos:
    """Our own declarations by name, with their comments."""

    def __init__(self):
        self.services, self.messages, self.enums, self.uncommented = {}, {}, {}, []
        self._comments = {}
        for file in proto_files.read().file:
            if not file.name.startswith(('envoy/', 'google/protobuf/', 'kubernetes/')):  # others' APIs
                self._add(file)
        self.method_of = {name: method.name for service in self.services.values() for method in service.method
                          for name in (method.input_type, method.output_type)}

    def comment(self, name, required=True):
        """The comment of a declaration; notes the name if there is none although one is required."""
        text = self._comments.get(name, '')
        if required and not text:
            self.uncommented.append(name)
        return text

    def _add(self, file):
        texts = {tuple(place.path): re.sub(r'^ ', '', place.leading_comments, flags=re.MULTILINE).strip()
                 for place in file.source_code_info.location}
        prefix = f'.{file.package}.'  # as in FieldDescriptorProto.type_name
        for kind, declarations, members in ((MESSAGE, file.message_type, 'field'), (ENUM, file.enum_type, 'value'),
                                            (SERVICE, file.service, 'method')):
            for number, declared in enumerate(declarations):
                name = prefix + declared.name
                self._comments[name] = texts.get((kind, number), '')
                for place, member in enumerate(getattr(declared, members)):
                    self._comments[f'{name}.{member.name}'] = texts.get((kind, number, MEMBER, place), '')
        self.services |= {prefix + service.name: service for service in file.service}
        self.messages |= {prefix + message.name: message for message in file.message_type}
        self.enums |= {prefix + enum.name: enum for enum in file.enum_type}


def prose(comment):
    """A comment as Markdown: paragraphs, and a table for the lines `  CODE  meaning`."""
    out = []
    for paragraph in re.split(r'\n\s*\n', comment):
        rows = []
        for line in paragraph.split('\n'):
            row = re.fullmatch(r'  ([A-Z_]+) +(.*)', line)
            if row:
                rows.append([row[1], row[2]])
            elif rows and line.startswith('   '):
                rows[-1][1] += ' ' + line.strip()
            elif rows:
                out += table(('error', ''), [(f'`{code}`', escape(text)) for code, text in rows])
                rows = []
                out.append(escape(line))
            else:
                out.append(escape(line))
        if rows:
            out += table(('error', ''), [(f'`{code}`', escape(text)) for code, text in rows])
        out.append('')
    return out


def table(head, rows):
    return ['', f'| {" | ".join(head)} |', f'|{" --- |" * len(head)}', *(f'| {" | ".join(row)} |' for row in rows), '']


def type_name(protos, message, field):
    name = field.type_name
    if not name:
        return f'`{FIELD.Type.Name(field.type).removeprefix("TYPE_").lower()}`'
    entry = next((nested for nested in message.nested_type
                  if nested.options.map_entry and name.endswith(f'.{message.name}.{nested.name}')), None)
    if entry:
        key, value = (type_name(protos, message, part) for part in entry.field)
        return f'map of {key} to {value}'
    short = name.removeprefix(OWN_PACKAGE).removeprefix('.')
    if name in protos.messages or name in protos.enums:
        heading = protos.method_of.get(name, short)
        return f'[{short}](#{heading.lower().replace(".", "")})'
    return f'`{short}`'


def fields(protos, name):
    message = protos.messages[name]
    if not message.field:
        return ['It has no fields.', '']
    rows = []
    for field in message.field:
        kind = type_name(protos, message, field)
        if field.label == FIELD.LABEL_REPEATED and not kind.startswith('map of'):
            kind = f'list of {kind}'
        if field.HasField('oneof_index') and not field.proto3_optional:
            kind += f', one of `{message.oneof_decl[field.oneof_index].name}`'
        rows.append((f'`{field.name}`', kind, escape(protos.comment(f'{name}.{field.name}')).replace('\n', ' ')))
    return table(('field', 'type', ''), rows)


def show_example(example):
    request = json.dumps(example['request'], indent=2, ensure_ascii=False).replace("'", "'\\''")
    call = ' '.join(['deploy/docs/call.py', *example.get('options', ['"$ASSERTIOND_SERVER"']), example['method']])
    out = ['', f'**Example.** {example["note"]}' if 'note' in example else '**Example**', '']
    if 'printed' in example:
        out += ['With assertionctl, and what it prints:', '', '```sh', example['command'], '```', '', *show_json(example['printed'])]
    elif 'command' in example:
        out += ['With assertionctl, which prints [a form of its own](scripts.md):', '', '```sh', example['command'], '```', '']
    return out + ['Over the API, and its answer:', '', '```sh', f"{call} '{request}'", '```', '', *show_json(example['answer'])]


def show_json(value):
    return ['```json', json.dumps(value, indent=2, ensure_ascii=False), '```', '']


def describe_method(protos, service, method, examples):
    out = [f'### {method.name}', '', *prose(protos.comment(f'{service}.{method.name}'))]
    for title, name, streams in (('Request', method.input_type, method.client_streaming),
                                 ('Answer', method.output_type, method.server_streaming)):
        stream = 'a stream of ' if streams else ''
        out += [f'**{title}**: {stream}`{name.removeprefix(OWN_PACKAGE)}`', '',
                *prose(protos.comment(name, required=False)), *fields(protos, name)]
    for example in examples:
        out += show_example(example)
    return out


def write(protos, examples):
    by_method = collections.defaultdict(list)
    for example in examples:
        by_method[example['method']].append(example)
    names = [method.name for service in protos.services.values() for method in service.method]
    wrong = [f'no example of {name}' for name in names if name not in by_method]
    wrong += [f'an example of {name}, which is no method' for name in by_method if name not in names]
    out = [INTRODUCTION, '']
    for name, service in protos.services.items():
        out += [f'## {service.name}', '', *prose(protos.comment(name))]
        for method in service.method:
            out += describe_method(protos, name, method, by_method[method.name])
    out += ['## Shared messages', '']
    for name, message in protos.messages.items():
        if name not in protos.method_of:
            out += [f'### {name.removeprefix(OWN_PACKAGE).removeprefix(".")}', '', *prose(protos.comment(name)),
                    *fields(protos, name)]
    out += ['## Enums', '']
    for name, enum in protos.enums.items():
        out += [f'### {name.removeprefix(OWN_PACKAGE)}', '', *prose(protos.comment(name)),
                *table(('value', ''), [(f'`{value.name}`', escape(protos.comment(f'{name}.{value.name}')).replace('\n', ' '))
                                       for value in enum.value])]
    wrong += [f'no comment on {name}' for name in protos.uncommented]
    if wrong:
        sys.exit('write_api_reference: ' + '; '.join(wrong))
    return re.sub(r'\n{3,}', '\n\n', '\n'.join(out)).rstrip() + '\n'


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ['--check']):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    examples, page = map(pathlib.Path, sys.argv[1:3])
    text = write(Protos(), json.loads(examples.read_text(encoding='utf-8')))
    if not sys.argv[3:]:
        page.write_text(text, encoding='utf-8')
    elif not page.exists() or page.read_text(encoding='utf-8') != text:
        sys.exit(f'{page} is stale: cmake --build --preset release --target api-reference')


main()
