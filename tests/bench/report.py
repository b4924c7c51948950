#!/usr/bin/env python3
"""Reads what signing_bench, start_bench and micro_bench have measured, and writes results.json, results.md, results.svg.

usage: tests/bench/report.py PARTS RESULTS      (folders; run.sh calls it)
"""
import glob
import json
import os
import platform
import re
import statistics
import sys

MEDIAN = statistics.median


class Token:
    """The series of one run of signing_bench, by algorithm, kind and width."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.run = json.load(file)
        self.series = {(s["algorithm"], s["kind"], s["width"]): s for s in self.run["series"]}
        self.algorithms = list(dict.fromkeys(s["algorithm"] for s in self.run["series"]))

    def get(self, *key):
        return self.series.get(key)

    def of(self, algorithm, kind):
        return [s for s in self.run["series"] if s["algorithm"] == algorithm and s["kind"] == kind]

    def best_raw(self, algorithm):
        return max(self.of(algorithm, "raw"), key=lambda s: MEDIAN(s["per_second"]))


def ratio(one, other, what="per_second"):
    """The median of the rounds' own ratios: what slows a whole round slows both of its parts."""
    return MEDIAN(a / b for a, b in zip(one[what], other[what]))


def p99(series):
    """The median of the rounds' own: one standstill of the machine is no more than one round's."""
    return MEDIAN(series["round_p99_ms"])


def targets(token, networks, start):
    """(what, target, least or most, measured, what gRPC alone reaches); what was not measured is left out."""
    found = []

    def add(what, sign, target, measured, digits=2, bare=None):
        found.append({"what": what, "sign": sign, "target": target, "measured": round(measured, digits),
                      "met": measured >= target if sign == ">=" else measured <= target})
        if bare is not None:
            found[-1]["grpc_alone"] = round(bare, digits)

    def alone(algorithm, way, raw, what="per_second"):
        series = token.get(algorithm, f"gRPC alone, {way}", 64)
        return ratio(series, raw, what) if series else None

    rs_raw = token.get("RS256", "raw", 2)
    rs = token.get("RS256", "unary", 64)
    if rs and rs_raw:
        add("RS256 unary, 64 in flight / raw loop with 2 sessions", ">=", 0.90, ratio(rs, rs_raw),
            bare=alone("RS256", "unary", rs_raw))
        for s in token.of("RS256", "stream"):
            add(f"RS256 stream, {s['width']} in flight / raw loop with 2 sessions", ">=", 0.94, ratio(s, rs_raw),
                bare=alone("RS256", "stream", rs_raw))
        add("server CPU per RS256 assertion / raw CPU per signature", "<=", 1.06, ratio(rs, rs_raw, "cpu_us"),
            bare=alone("RS256", "unary", rs_raw, "cpu_us"))
    es = token.get("ES256", "unary", 64)
    if es:
        best = token.best_raw("ES256")
        add("ES256 unary, 64 in flight / raw loop at its best session count", ">=", 0.55, ratio(es, best),
            bare=alone("ES256", "unary", best))
        for s in token.of("ES256", "stream"):
            add(f"ES256 stream, {s['width']} in flight / raw loop at its best session count", ">=", 0.65,
                ratio(s, best), bare=alone("ES256", "stream", best))
    for network in networks:
        way = network["unary"] if not network["stream"] else max(
            network["unary"], network["stream"], key=lambda s: MEDIAN(s["per_second"]))
        where = f"network HSM {network['ms']} ms x {network['sessions']} sessions"
        add(f"{where}: throughput / ideal", ">=", 0.98, MEDIAN(way["per_second"]) / network["ideal"], 3)
        add(f"{where}: p99 at 80 % load / ideal latency", "<=", 1.3, p99(network["latency"]) / network["ms"])
    if rs and rs_raw:
        one, bare = token.get("RS256", "raw", 1), token.get("RS256", "gRPC alone, latency", 0)
        add("p99 unary RS256 at 70 % load / one raw signature", "<=", 4,
            p99(token.get("RS256", "latency", 0)) / one["p50_ms"], bare=bare and p99(bare) / one["p50_ms"])
        tls = token.get("RS256", "unary, TLS", 64)
        if tls:
            add("mutual TLS / Unix socket, RS256, 64 in flight", ">=", 0.93, ratio(tls, rs))
    add("RSS of the server under load, beyond the module's own, MiB", "<=", 48,
        (token.run["server_peak_kib"] - MEDIAN(start["module_kib"])) / 1024, 1)
    add("cold start to serving, 3 keys, beyond module load and login, ms", "<=", 100,
        MEDIAN(s - m for s, m in zip(start["start_ms"], start["module_ms"])), 0)
    return found


def read_network(path):
    ms, sessions = map(int, re.search(r"network-(\d+)ms-(\d+)\.json$", path).groups())
    token = Token(path)
    algorithm = token.algorithms[0]
    one = lambda kind: (token.of(algorithm, kind) or [None])[0]
    return {"ms": ms, "sessions": sessions, "ideal": sessions * 1000 / ms, "algorithm": algorithm, "raw": one("raw"),
            "unary": one("unary"), "stream": one("stream"), "latency": one("latency")}


# ---- the tables ----

def table(head, rows):
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def label(series):
    kind, width = series["kind"], series["width"]
    if kind == "raw":
        return f"raw loop, {width} session{'s' if width != 1 else ''}"
    if kind.endswith("latency"):
        return f"{kind.removesuffix('latency')}at {MEDIAN(series['per_second']):.0f}/s, calls come as they will"
    return f"{kind}, {width} in flight"


def row(series, base):
    # Who answers, and who asks.
    return [series["algorithm"], label(series), f"{MEDIAN(series['per_second']):.0f}",
            "" if base is None or series["kind"].endswith("latency") else f"{ratio(series, base):.2f}",
            f"{series['p50_ms']:.2f}", f"{series['p99_ms']:.2f}", f"{series['p999_ms']:.2f}",
            f"{MEDIAN(series['cpu_us']):.0f}" if MEDIAN(series["cpu_us"]) else "",
            "" if series["kind"] == "raw" else f"{MEDIAN(series['client_cpu_us']):.0f}"]


HEAD = ["", "", "a second", "of raw", "p50 ms", "p99 ms", "p99.9 ms", "CPU us", "asker's CPU us"]


def as_text(token, networks, start, micro, met):
    run = token.run
    parts = [f"Written by `tests/bench/run.sh`: {run['rounds']} rounds of {run['seconds']:g} s in turns on {run['cores']} "
             "cores, which the token, the server and who asks share; medians of the rounds, ratios are medians of the "
             "rounds' own. Read the ratios, not the figures.", "## Targets",
             "gRPC alone: a server that answers after using the processor for as long as a raw signature does (64 calls in "
             "flight), without policy, token, verification and audit log. p99 here: the median of the rounds' own; further "
             "down of the calls of all rounds, with every standstill of the machine.",
             table(["", "target", "measured", "", "gRPC alone"],
                   [[t["what"], f"{t['sign']} {t['target']:g}", f"{t['measured']:g}", "met" if t["met"] else "**missed**",
                     f"{t['grpc_alone']:g}" if "grpc_alone" in t else ""] for t in met]),
             "## SoftHSM2",
             "Raw: `C_SignInit` and `C_Sign` alone. CPU: of the server for one assertion, of the raw loop for one signature.",
             table(HEAD, [row(s, token.get("RS256", "raw", 2) if s["algorithm"] == "RS256" else
                              token.best_raw(s["algorithm"])) for s in run["series"]]),
             "## Behind a network",
             "SoftHSM2 behind `faulty_hsm`, which makes each signature take as long as is told.",
             table(["", *HEAD[1:2], "of ideal", *HEAD[2:3], *HEAD[4:]],
                   [[f"{n['ms']} ms x {n['sessions']}", f"{s['algorithm']} {label(s)}",
                     f"{MEDIAN(s['per_second']) / n['ideal']:.3f}", *row(s, None)[2:3], *row(s, None)[4:]]
                    for n in networks for s in (n["raw"], n["unary"], n["stream"], n["latency"]) if s]),
             "## Memory and start",
             table(["", ""], [
                 ["the server's most, in the run of the first table", f"{run['server_peak_kib'] / 1024:.1f} MiB"],
                 ["the server when it has just started", f"{MEDIAN(start['start_kib']) / 1024:.1f} MiB"],
                 ["what a process grows by that loads the module, logs in and signs",
                  f"{MEDIAN(start['module_kib']) / 1024:.1f} MiB"],
                 ["start to serving, 3 keys", f"{MEDIAN(start['start_ms']):.0f} ms"],
                 ["of which loading the module and logging in, measured alone", f"{MEDIAN(start['module_ms']):.0f} ms"]]),
             "## Parts of the server alone",
             table(["", "us"], [[b["name"].removeprefix("BM_").removesuffix("/real_time"), f"{b['real_time'] / 1e3:.2f}"]
                                for b in micro["benchmarks"]])]
    return "# What was measured\n\n" + "\n\n".join(parts) + "\n"


# ---- the plot ----

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #6e7681 }
.title { font-weight: 600 }
.grid { stroke: #8b949e; stroke-opacity: .35 }
.value { font-size: 12px }
.raw { fill: #8b949e } .unary { fill: #2f81f7 } .stream { fill: #2da44e } .tls { fill: #bf8700 }
@media (prefers-color-scheme: dark) { text { fill: #adb5bd } }
"""


def plot(token, networks):
    """One group of bars an algorithm, each bar the share of the raw loop's best (a network HSM: of the ideal)."""
    groups = []
    for algorithm in token.algorithms:
        best = token.best_raw(algorithm)
        bars = [("raw", label(s), s, ratio(s, best)) for s in token.of(algorithm, "raw")]
        for kind in ("gRPC alone, unary", "gRPC alone, stream", "unary", "stream", "unary, TLS", "stream, TLS"):
            css = "tls" if "TLS" in kind else "raw" if "alone" in kind else kind
            bars += [(css, label(s), s, ratio(s, best)) for s in token.of(algorithm, kind)]
        groups.append((f"{algorithm}: share of the raw loop at its best, {MEDIAN(best['per_second']):.0f}/s", bars))
    for n in networks:
        bars = [(css, label(n[css]), n[css], MEDIAN(n[css]["per_second"]) / n["ideal"])
                for css in ("raw", "unary", "stream") if n[css]]
        groups.append((f"network HSM, {n['ms']} ms x {n['sessions']} sessions: share of the ideal, {n['ideal']:.0f}/s", bars))
    left, width, line, right = 210, 430, 20, 150
    y, body = 16, []
    for title, bars in groups:
        body.append(f'<text class="title" x="8" y="{y + 4}">{title}</text>')
        top = y + 14
        for i, (css, name, series, share) in enumerate(bars):
            at = top + i * line
            body.append(f'<text x="{left - 8}" y="{at + 14}" text-anchor="end">{name}</text>'
                        f'<rect class="{css}" x="{left}" y="{at + 3}" width="{share * width:.1f}" height="{line - 6}" rx="2"/>'
                        f'<text class="value" x="{left + max(share, 0) * width + 6:.1f}" y="{at + 14}">{share:.2f}'
                        f' · {MEDIAN(series["per_second"]):.0f}/s</text>')
        bottom = top + len(bars) * line
        for share in (0, 0.5, 1):
            x = left + share * width
            body.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
        y = bottom + 24
    size = f'{left + width + right}" height="{y - 8}'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" role="img" aria-label="throughput of assertiond '
            f'against the token itself">\n<style>{STYLE}</style>\n' + "\n".join(body) + "\n</svg>\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    parts, results = sys.argv[1:]

    def read(name):
        with open(os.path.join(parts, name), encoding="utf-8") as file:
            return json.load(file)

    token, start, micro = Token(os.path.join(parts, "token.json")), read("start.json"), read("micro.json")
    networks = sorted((read_network(p) for p in glob.glob(os.path.join(parts, "network-*.json"))), key=lambda n: -n["ms"])
    met = targets(token, networks, start)
    text = as_text(token, networks, start, micro, met)
    for name, content in (
            ("results.json", json.dumps({"machine": platform.machine(), "targets": met, "token": token.run,
                                         "network": networks, "start": start,
                                         "micro": {b["name"]: b["real_time"] for b in micro["benchmarks"]}}, indent=1)),
            ("results.md", text), ("results.svg", plot(token, networks))):
        with open(os.path.join(results, name), "w", encoding="utf-8") as file:
            file.write(content)
    print(text)


main()
