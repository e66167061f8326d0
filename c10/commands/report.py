"""``doit engines-report``: one page to look at, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from doit.exceptions import InvalidCommand

from c10.building.planning import PlannedEngine, describe_host, plan_corpus
from c10.building.targets import signing_policy
from c10.cache.inventory import Finding, Inventory
from c10.cache.reading import EngineReader, cache_inventories, is_missing, take_inventories
from c10.commands import documents
from c10.commands.base import (
    DEFAULT_CACHE,
    OK,
    OPTION_CONFIG,
    EngineCommand,
    write,
)
from c10.commands.report_page import render
from c10.console.text import count, megabytes
from c10.corpus.config import DEFAULT_CONFIG, C10ProvisioningConfig
from c10.errors import PublishError
from c10.files.publish import publish


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The options of ``doit engines-report``."""

    report_file: str
    """The path of the page; the JSON goes beside it."""
    config_file: str
    """The path of the corpus's backbones.toml."""


class EnginesReport(EngineCommand[ReportOptions]):
    """Reads every engine and writes two files."""

    name = "engines-report"
    doc_purpose = "write an HTML page about all engines, and JSON beside it"
    doc_usage = "[DIR...]"
    doc_description = (
        'Reads every engine in DIR (default: the cache_root of the corpus, else "engines") and says of each whether it '
        "is intact, and, where there is a corpus, whether a run on this host would reuse it. The page is one file: it "
        "loads nothing, runs no script, and can be mailed, printed and kept.\n\n"
        "Exit status:\n"
        "0: the page was written, whatever it says\n"
        "3: it could not be (wrong option, no such directory, disk full)"
    )
    options_type = ReportOptions
    cmd_options = (
        {
            "name": "report_file",
            "short": "o",
            "long": "output",
            "type": str,
            "default": "engines-report.html",
            "metavar": "FILE",
            "help": "the page; the JSON goes beside it [default: %(default)s]",
        },
        OPTION_CONFIG,
    )

    def look(self, options: ReportOptions, arguments: list[str]) -> int:
        """Read, render, publish."""
        page = Path(options.report_file)
        if page.suffix not in {".html", ".htm"}:
            raise InvalidCommand(f"--output: expected a name that ends in .html, got {str(page)!r}")
        file = options.config_file
        config = None if file == DEFAULT_CONFIG and is_missing(Path(file)) else C10ProvisioningConfig.load(file)
        report = make_report(config, [Path(argument) for argument in arguments], file)
        _publish(page, render(report).encode())
        _publish(page.with_suffix(".json"), json.dumps(report, indent=2).encode() + b"\n")
        summary = report["summary"]
        wrong = "".join(f", {number} {state}" for state, number in summary["states"].items() if state != "intact")
        stale = f", {summary['to_build']} to build here" if summary["to_build"] else ""
        stale += f", {summary['blocked']} blocked here" if summary["blocked"] else ""
        write([f"{page}: {count(summary['engines'], 'engine')}, {megabytes(summary['size'])}{wrong}{stale}"])
        return OK


def make_report(config: C10ProvisioningConfig | None, directories: Sequence[Path], config_file: str) -> dict[str, Any]:
    """Return the report as the JSON document that the page is made of. Raises C10Error."""
    reader = EngineReader(None if config is None else signing_policy(config.signing))
    if config is not None and not directories:
        inventories = cache_inventories(config.cache_root)
    else:
        inventories = take_inventories(directories or [Path(DEFAULT_CACHE)])
    findings = reader.examine(inventories)
    plan = None if config is None else plan_corpus(config, engine_digest=reader.digest)
    return documents.document(
        "engines-report",
        generated_on=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        directories=[str(inventory.directory) for inventory in inventories],
        config=None if config is None else config_file,
        host=documents.host(plan[0].target.host) if plan else None,
        host_name=describe_host(engine.target for engine in plan) if plan else None,
        summary=_summary(inventories, findings, plan),
        corpus=None if plan is None else [documents.planned(engine) for engine in plan],
        engines=[documents.finding(found) for found in findings],
        leftovers=documents.leftovers(inventories),
    )


def _summary(
    inventories: Sequence[Inventory], findings: Sequence[Finding], plan: Sequence[PlannedEngine] | None
) -> dict[str, Any]:
    records = [found.verdict.record for found in findings if found.verdict.record is not None]
    leftovers = [left for inventory in inventories for left in inventory.leftovers]
    return {
        "engines": len(findings),
        "size": sum(found.stored.size for found in findings),
        "compile_duration_s": round(sum(record.compile_duration_s for record in records), 3),
        "states": documents.counts(found.state for found in findings),
        "to_build": None if plan is None else sum(engine.action == "build" for engine in plan),
        "blocked": None if plan is None else sum(engine.action == "blocked" for engine in plan),
        "leftovers": documents.counts(left.kind for left in leftovers),
    }


def _publish(path: Path, content: bytes) -> None:
    try:
        publish(path, content)
    except PublishError as error:
        raise InvalidCommand(f"{error.message}\nWrite it elsewhere: doit engines-report --output FILE") from error
