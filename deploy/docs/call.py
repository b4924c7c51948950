#!/usr/bin/python3 -B
"""Calls one method of assertiond with JSON, and prints the answer as JSON.

The JSON is Protobuf's (https://protobuf.dev/programming-guides/json/), with the field names of the protos. A stream
takes an array of requests, and prints an array of answers. Needs protoc, python3-grpcio and python3-protobuf.
Exit status: 0 the method answered OK; 1 it answered an error, printed as CODE: message; 2 wrong usage.
"""
import argparse
import json
import pathlib
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory

import proto_files


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('server', help='unix:/path, or HOST:PORT for mutual TLS')
    parser.add_argument('method', help='for example CreateAssertion')
    parser.add_argument('request', help='JSON, for example {"client_id": "orders"}')
    parser.add_argument('--timeout', type=float, default=30, help='seconds; default 30')
    tls = parser.add_argument_group('mutual TLS', 'PEM files, all required with HOST:PORT')
    tls.add_argument('--ca', type=pathlib.Path, help="authorities of the server's certificate")
    tls.add_argument('--certificate', type=pathlib.Path, help="the caller's certificate and its issuers")
    tls.add_argument('--key', type=pathlib.Path, help="the caller's private key")
    options = parser.parse_args()
    if not options.server.startswith('unix:') and not (options.ca and options.certificate and options.key):
        parser.error('HOST:PORT requires --ca, --certificate and --key')
    return options


def fail(message):
    print(f'call.py: {message}', file=sys.stderr)
    sys.exit(2)


def open_channel(options):
    if options.server.startswith('unix:'):
        return grpc.insecure_channel(options.server)  # the kernel tells the server the caller's user
    return grpc.secure_channel(options.server, grpc.ssl_channel_credentials(
        options.ca.read_bytes(), options.key.read_bytes(), options.certificate.read_bytes()))


def find_method(pool, files, name):
    """Returns the path and the descriptor of a method."""
    for file in files.file:
        for service in file.service:
            for method in service.method:
                if method.name == name:
                    full_name = f'{file.package}.{service.name}'
                    return f'/{full_name}/{name}', pool.FindServiceByName(full_name).FindMethodByName(name), method
    fail(f'no method named "{name}"')


def call(channel, pool, files, options):
    """Returns the answer as an object that json.dumps takes."""
    path, method, declared = find_method(pool, files, options.method)
    factory = message_factory.MessageFactory(pool)
    answer_type, request_type = factory.GetPrototype(method.output_type), factory.GetPrototype(method.input_type)

    def parse(value):
        return json_format.ParseDict(value, request_type(), descriptor_pool=pool)

    def describe(message):
        return json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool)

    codec = {'request_serializer': request_type.SerializeToString, 'response_deserializer': answer_type.FromString}
    request = json.loads(options.request)
    if declared.client_streaming:
        answers = channel.stream_stream(path, **codec)(iter([parse(one) for one in request]), timeout=options.timeout)
        return [describe(answer) for answer in answers]
    return describe(channel.unary_unary(path, **codec)(parse(request), timeout=options.timeout))


def main():
    options = parse_options()
    files = proto_files.read()
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    with open_channel(options) as channel:
        try:
            answer = call(channel, pool, files, options)
        except (json.JSONDecodeError, json_format.ParseError) as error:
            fail(f'the request is not JSON of {options.method}: {error}')
        except grpc.RpcError as error:
            sys.exit(f'{error.code().name}: {error.details()}')
    print(json.dumps(answer, indent=2, ensure_ascii=False))


main()
