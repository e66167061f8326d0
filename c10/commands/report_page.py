"""The report as one HTML page: no script, no request, every word escaped.

The page is made of the JSON document alone, so the two cannot disagree. A Content-Security-Policy in the page
itself forbids the browser to load anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import groupby
from typing import Any, Final

from c10.commands.markup import (
    NOTHING,
    STATES,
    URGENCY,
    chip,
    file_name,
    measure,
    prose,
    section,
    sentence,
    table,
    text,
    when,
)
from c10.console.text import count, megabytes, seconds
from c10.corpus.runtimes import RUNTIME_OF

Engine = dict[str, Any]

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="generator" content="c10 {version}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def render(report: dict[str, Any]) -> str:
    """Return the page of a report document (see docs/commands.md)."""
    engines = [_with_plan(engine, report["corpus"]) for engine in report["engines"]]
    missing = _missing(report)
    attention = [engine for engine in [*engines, *missing] if engine["shown"] != "intact"]
    attention.sort(key=lambda engine: URGENCY.index(engine["shown"]))
    parts = [
        _header(report, engines, attention),
        _figures(report, engines),
        _attention(attention),
        _corpus(report),
        _by_model(engines),
        _by_host(engines),
        _leftovers(report["leftovers"]),
        _words({engine["shown"] for engine in [*engines, *missing]}, report["leftovers"]),
        _footer(report),
    ]
    return _PAGE.format(
        version=text(report["c10_version"]),
        title=text(f"c10 engines: {_headline(engines, attention)}"),
        css=files("c10.commands").joinpath("report.css").read_text("utf-8"),
        body="\n".join(filter(None, parts)),
    )


def _with_plan(engine: Engine, corpus: Sequence[Engine] | None) -> Engine:
    """Add to an engine what the corpus thinks of it: an intact one may be stale."""
    place = (engine["directory"], engine["engine"])
    plan = next((p for p in corpus or () if (p["directory"], p["engine"]) == place), None)
    if plan is None or engine["state"] != "intact" or plan["action"] == "reuse":
        return {**engine, "shown": engine["state"]}
    unsigned = str(plan["reason"]).startswith("signature_")
    shown = "untrusted" if unsigned else "blocked" if plan["action"] == "blocked" else "stale"
    return {**engine, "shown": shown, "why": plan["why"]}


def _missing(report: dict[str, Any]) -> list[Engine]:
    """Return what the corpus wants and of which no file is there: what is lost is told where its files are."""
    there = {(engine["directory"], engine["engine"]) for engine in report["engines"]}
    wanted = (plan for plan in report["corpus"] or () if (plan["directory"], plan["engine"]) not in there)
    return [{**plan, "shown": "blocked" if plan["action"] == "blocked" else "missing"} for plan in wanted]


def _headline(engines: Sequence[Engine], attention: Sequence[Engine]) -> str:
    if not engines:
        return "no engine yet"
    if not attention:
        return f"{'the one engine is' if len(engines) == 1 else f'all {len(engines)} engines are'} intact"
    wrong = len(attention)
    return f"{count(wrong, 'engine')} {'needs' if wrong == 1 else 'need'} attention"


def _header(report: dict[str, Any], engines: Sequence[Engine], attention: Sequence[Engine]) -> str:
    headline = _headline(engines, attention)
    where = ", ".join(f"<code>{text(directory)}</code>" for directory in report["directories"]) or "no directory yet"
    host = f", seen from {text(report['host_name'])}" if report["host_name"] else ""
    return (
        f'<header><p class="tool">c10 engine report</p>\n<h1>{text(headline[0].upper() + headline[1:])}</h1>\n'
        f"<p>{where}{host}. Every engine was read on {when(report['generated_on'])} UTC.</p></header>"
    )


def _figures(report: dict[str, Any], engines: Sequence[Engine]) -> str:
    summary = report["summary"]
    figures = [
        ("Engines", str(summary["engines"])),
        ("On disk", megabytes(summary["size"])),
        ("Compile time", seconds(summary["compile_duration_s"])),
        ("Models", str(len({engine["model_name"] for engine in engines}))),
        ("Kinds of host", str(len({_kind_of_host(engine) for engine in engines}))),
    ]
    if summary["to_build"] is not None:
        figures.append(("To build here", str(summary["to_build"])))
    if summary["blocked"]:
        figures.append(("Blocked here", str(summary["blocked"])))
    cells = "\n".join(f"<div><dt>{text(what)}</dt><dd>{text(value)}</dd></div>" for what, value in figures)
    return f'<dl class="figures">\n{cells}\n</dl>'


def _attention(engines: Sequence[Engine]) -> str:
    if not engines:
        return ""
    items = "\n".join(
        f"<li>{chip(engine['shown'])}<p>{text(engine['model_name'])}</p>"
        f"<p>{file_name(engine['engine'])}</p><p>{text(sentence(engine['why']))}</p>"
        f'<p class="do">{prose(STATES[engine["shown"]][1])}</p></li>'
        for engine in engines
    )
    lead = "A run never reuses these. What to do stands with each."
    return f'<section><h2>What needs attention</h2><p>{lead}</p>\n<ul class="todo card">\n{items}\n</ul></section>'


def _corpus(report: dict[str, Any]) -> str:
    if report["corpus"] is None:
        return ""
    rows = [
        f'<tr><th scope="row">{text(plan["model_name"])}</th><td>{chip(plan["action"])}</td>'
        f'<td class="number">{text(seconds(plan["last_duration_s"])) or NOTHING}</td>'
        f'<td class="why">{text(plan["why"])}</td></tr>'
        for plan in report["corpus"]
    ]
    lead = f"What <code>doit engines</code> would do for <code>{text(report['config'])}</code> on this host."
    heads = ("Model", "Plan", ">Last build", "Why")
    return section("Needed here", lead, table(heads, [rows])) if rows else ""


def _by_model(engines: Sequence[Engine]) -> str:
    if not engines:
        return ""
    largest, longest = _largest(engines, "size"), _largest(engines, "compile_duration_s")
    groups = []
    for model, group in groupby(sorted(engines, key=_model_then_host), key=lambda engine: str(engine["model_name"])):
        members = list(group)
        total = f"{count(len(members), 'engine')}, {megabytes(sum(engine['size'] for engine in members))}"
        head = (
            f'<tr class="model"><th colspan="6" scope="rowgroup">{text(model)}'
            f'<span class="sum">{text(total)}</span></th></tr>'
        )
        groups.append([head, *(_engine_row(engine, largest, longest) for engine in members)])
    lead = "Bars are drawn to the largest engine and to the longest build of the whole page."
    heads = ("Host and file", "Precision", "State", "Size", "Build time", "Built (UTC)")
    return section("Engines by model", lead, table(heads, groups))


def _engine_row(engine: Engine, largest: float, longest: float) -> str:
    return (
        f"<tr><td>{text(_host(engine))}{file_name(engine['engine'])}</td>"
        f'<td class="short">{text(engine["precision"])}</td><td>{chip(engine["shown"])}</td>'
        f"{measure(engine['size'], largest, megabytes)}"
        f"{measure(engine['compile_duration_s'], longest, seconds, 'time')}"
        f'<td class="date">{when(engine["built_on"])}</td></tr>'
    )


def _by_host(engines: Sequence[Engine]) -> str:
    hosts: dict[str, list[Engine]] = {}
    for engine in sorted(engines, key=_kind_of_host):
        hosts.setdefault(_kind_of_host(engine), []).append(engine)
    sums = {
        host: (sum(e["size"] for e in members), sum(e["compile_duration_s"] or 0 for e in members))
        for host, members in hosts.items()
    }
    largest = max((size for size, _ in sums.values()), default=0)
    longest = max((time for _, time in sums.values()), default=0)
    rows = [
        f'<tr><th scope="row">{text(host)}</th><td class="number">{len(hosts[host])}</td>'
        f"{measure(size, largest, megabytes)}{measure(time or None, longest, seconds, 'time')}</tr>"
        for host, (size, time) in sums.items()
    ]
    lead = "<code>doit engines-prune</code> lists those that a corpus does not need on its host."
    return (
        section("Engines by host", lead, table(("Kind of host", ">Engines", "Size", "Build time"), [rows]))
        if rows
        else ""
    )


def _leftovers(leftovers: Sequence[Engine]) -> str:
    rows = [
        f"<tr><td>{chip(left['kind'])}</td>"
        f"<td>{file_name(left['file'])}</td>"
        f'<td class="number">{text(megabytes(left["size"]))}</td>'
        f'<td class="why">{prose(STATES[left["kind"]][1])}</td></tr>'
        for left in leftovers
    ]
    lead = "Files in the cache that belong to no engine."
    return section("Other files", lead, table(("Kind", "File", ">Size", "What to do"), [rows])) if rows else ""


def _words(states: set[str], leftovers: Sequence[Engine]) -> str:
    used = states | {left["kind"] for left in leftovers}
    terms = "\n".join(
        f"<dt>{chip(state)}</dt><dd>{prose(meaning)}</dd>" for state, (meaning, _) in STATES.items() if state in used
    )
    lead = "The states that this page shows."
    return (
        f'<section><h2>What the words mean</h2><p>{lead}</p>\n<dl class="words">\n{terms}\n</dl></section>'
        if used
        else ""
    )


def _footer(report: dict[str, Any]) -> str:
    return (
        f"<footer>Written by <code>doit engines-report</code>, c10 {text(report['c10_version'])}. "
        "The same as data lies beside this page, with the ending .json. "
        "The page loads nothing and runs no script.</footer>"
    )


def _kind_of_host(engine: Engine) -> str:
    """Return what the file name says of the host."""
    return _host({**engine, "runtime_version": None, "device_name": None})


def _host(engine: Engine) -> str:
    """Return all that is recorded of the host, else what the file name says."""
    version = engine["runtime_version"] or engine["trt"]
    sm = engine["sm"].replace(".", ", ")
    row = RUNTIME_OF[engine["runtime"]]
    if not row.on_device:
        return f"{row.product} {version}, sm{sm}"
    jetpack = "" if engine["jp"] == "none" else f", JetPack {engine['jp']}"
    device = f" ({engine['device_name']})" if engine["device_name"] else ""
    return f"sm{sm}{jetpack}, {row.product} {version}{device}"


def _model_then_host(engine: Engine) -> tuple[str, str, str]:
    return engine["model_name"], _host(engine), engine["precision"]


def _largest(engines: Iterable[Engine], key: str) -> float:
    return max((engine[key] or 0 for engine in engines), default=0)
