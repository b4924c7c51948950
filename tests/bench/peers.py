#!/usr/bin/env python3
"""Reads what peers.sh has measured and prints one line for each target; judges nothing.

usage: tests/bench/peers.py PARTS [JSON]      (peers.sh calls it)
"""
import heapq
import json
import pathlib
import random
import statistics
import sys


def read(folder, part):
    path = pathlib.Path(folder, part + '.json')
    if not path.exists():
        return {}
    run = json.loads(path.read_text(encoding='utf-8'))
    return {(one['algorithm'], one['kind']): one for one in run['series']}


def ratio(one, other, what):
    """The median of the rounds' own ratios; None when one was not measured."""
    if one is None or other is None:
        return None
    return statistics.median(a / b for a, b in zip(one[what], other[what]))


def ideal_p99(load, sessions, calls=200_000):
    """p99 of calls that come as they will, in signatures, where nothing costs anything but the token's sessions."""
    arrivals, now, took = random.Random(1), 0.0, []
    free = [0.0] * sessions
    for _ in range(calls):
        now += arrivals.expovariate(load * sessions)
        done = max(now, heapq.heappop(free)) + 1
        heapq.heappush(free, done)
        took.append(done - now)
    return statistics.quantiles(took, n=100)[98]


def rows(folder):
    softhsm, instant = read(folder, 'softhsm'), read(folder, 'instant')
    get = lambda series, algorithm, kind: series.get((algorithm, kind))
    for algorithm, kind, target in (('ES256', 'unary', 1.15), ('ES256', 'stream', 1.5), ('RS256', 'unary', 1.15)):
        yield (f'{algorithm} {kind}, 64 in flight / Go unary', '>=', target,
               ratio(get(softhsm, algorithm, kind), get(softhsm, algorithm, 'Go, unary'), 'per_second'))
    for algorithm in ('RS256', 'ES256'):
        for kind in ('unary', 'stream'):
            one, old = get(softhsm, algorithm, kind), get(softhsm, algorithm, 'before, ' + kind)
            yield f'{algorithm} {kind}: a second / before', '>=', 0.98, ratio(one, old, 'per_second')
            yield f'{algorithm} {kind}: CPU / before', '<=', 1.02, ratio(one, old, 'cpu_us')
    yield ('zero-cost token, RS256 unary: server CPU / before', '<=', 0.5,
           ratio(get(instant, 'RS256', 'unary'), get(instant, 'RS256', 'before, unary'), 'cpu_us'))
    yield ('zero-cost token, RS256 stream: a second / before', '>=', 2.5,
           ratio(get(instant, 'RS256', 'stream'), get(instant, 'RS256', 'before, stream'), 'per_second'))
    for milliseconds, sessions, throughput, late in ((5, 16, 0.99, 1.5), (1, 32, 0.97, 2), (40, 64, None, 1.1)):
        network = read(folder, f'network-{milliseconds}ms-{sessions}')
        unary, latency = get(network, 'RS256', 'unary'), get(network, 'RS256', 'latency')
        where = f'{milliseconds} ms x {sessions} sessions'
        if throughput is not None:
            yield f'{where}: unary / raw loop', '>=', throughput, ratio(unary, get(network, 'RS256', 'raw'), 'per_second')
        yield (f'{where}: p99 at 80 % / {milliseconds} ms', '<=', late,
               statistics.median(latency['round_p99_ms']) / milliseconds if latency else None)
        yield f'{where}: the same of a queue that costs nothing', '<=', late, ideal_p99(0.8, sessions) if latency else None
    latency, bare = get(softhsm, 'RS256', 'latency'), get(softhsm, 'RS256', 'gRPC alone, latency')
    yield 'RS256 at 70 % load: p99 / gRPC alone', '<=', 1.2, ratio(latency, bare, 'round_p99_ms')


def main():
    found = [row for row in rows(sys.argv[1]) if row[3] is not None]
    for what, sign, target, measured in found:
        met = measured >= target if sign == '>=' else measured <= target
        print(f'{what:58} {measured:6.2f}  {sign} {target:<5} {"met" if met else "missed"}')
    for part in ('softhsm', 'instant'):
        for (algorithm, kind), series in read(sys.argv[1], part).items():
            print(f'{part:8} {algorithm} {kind:22} {statistics.median(series["per_second"]):9.0f} a second, CPU '
                  f'{statistics.median(series["cpu_us"]):6.1f} us, p99 {statistics.median(series["round_p99_ms"]):7.2f} ms')
    if len(sys.argv) > 2:
        pathlib.Path(sys.argv[2]).write_text(
            json.dumps([dict(zip(('what', 'sign', 'target', 'measured'), row)) for row in found], indent=1) + '\n',
            encoding='utf-8')


if __name__ == '__main__':
    main()
