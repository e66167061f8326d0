"""``doit engines-prune``: what lies in cache_root that no backbone of this corpus and host needs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from c10.building.planning import describe_host, refuse_empty
from c10.building.targets import corpus_targets
from c10.cache.inventory import Inventory
from c10.cache.reading import cache_inventories
from c10.cache.unneeded import Unneeded, delete, is_doubtful, unneeded
from c10.commands import documents
from c10.commands.base import (
    NOT_OK,
    OK,
    OPTION_CONFIG,
    OPTION_JSON,
    EngineCommand,
    refuse_arguments,
    write,
    write_json,
)
from c10.console.text import age, count, megabytes, table
from c10.corpus.config import C10ProvisioningConfig
from c10.corpus.target import EngineTarget
from c10.errors import C10Error

_DOUBT: Final = "Is this the right host, and the right corpus (--config FILE)? If both are right:"


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """The options of ``doit engines-prune``."""

    config_file: str
    """The path of the corpus's backbones.toml."""
    delete: bool
    """Delete what is listed."""
    force: bool
    """Delete also if none of the engines that the corpus needs here exists."""
    keep_hosts: bool
    """Leave engines of other hosts and of other TensorRT versions."""
    as_json: bool
    """Print one JSON document instead of lines."""


class EnginesPrune(EngineCommand[PruneOptions]):
    """Lists, and deletes when told to."""

    name = "engines-prune"
    doc_purpose = "list engines that this corpus does not need on this host; delete them when told to"
    doc_usage = ""
    doc_description = (
        "Looks in the cache_root of the corpus for engines of other hosts, of models that left the corpus and of other "
        "precisions, and for temporary files of builds that died. Deletes nothing without --delete, and never what "
        "the corpus uses here, what is being built, or a file that is not c10's. Where none of the engines that the "
        "corpus needs here exists, the host or the corpus may be the wrong one: then --delete asks for --force.\n\n"
        "Exit status:\n"
        "0: done\n"
        "1: something could not be deleted\n"
        "3: could not look (wrong option or configuration), or would not delete without --force"
    )
    options_type = PruneOptions
    cmd_options = (
        OPTION_CONFIG,
        {
            "name": "delete",
            "long": "delete",
            "type": bool,
            "default": False,
            "help": "delete what is listed",
        },
        {
            "name": "force",
            "long": "force",
            "type": bool,
            "default": False,
            "help": "with --delete: also where none of the engines that the corpus needs here exists",
        },
        {
            "name": "keep_hosts",
            "long": "keep-hosts",
            "type": bool,
            "default": False,
            "help": "leave engines of other hosts and of other TensorRT versions where they are",
        },
        OPTION_JSON,
    )

    def look(self, options: PruneOptions, arguments: list[str]) -> int:
        """List and delete."""
        refuse_arguments(self, arguments)
        config = C10ProvisioningConfig.load(options.config_file)
        otherwise = f"--config FILE, or delete {config.cache_root} by hand"
        refuse_empty(config, options.config_file, "all engines would go", otherwise)
        targets = corpus_targets(config)
        inventories = cache_inventories(config.cache_root)
        found = [item for inventory in inventories for item in unneeded(inventory, targets)]
        if options.keep_hosts:
            found = [item for item in found if item.kind != "other_host"]
        doubtful = is_doubtful(found, targets)
        if doubtful and options.delete and not options.force:
            raise _refusal(options, config.cache_root, found, targets)
        failures = {item: problem for item in found if (problem := delete(item))} if options.delete else {}
        if options.as_json:
            write_json(_document(options, inventories, found, failures))
        else:
            write(_lines(options, inventories, found, failures, doubtful=doubtful))
        return NOT_OK if failures else OK


def _refusal(
    options: PruneOptions, cache_root: Path, found: Sequence[Unneeded], targets: Sequence[EngineTarget]
) -> C10Error:
    return C10Error(
        f"{cache_root}: expected an engine that {options.config_file} needs here ({describe_host(targets)}), got "
        f"none: {_total(found)} would go. Nothing was deleted.",
        remedy=f"{_DOUBT} {_command(options, '--delete', '--force')}",
    )


def _lines(
    options: PruneOptions,
    inventories: Sequence[Inventory],
    found: Sequence[Unneeded],
    failures: dict[Unneeded, str],
    *,
    doubtful: bool,
) -> Iterator[str]:
    kept = sum(len(i.engines) for i in inventories) - sum(item.kind != "orphan" for item in found)
    if not found:
        yield f"Nothing to prune: {_needed(options, kept)}."
        return
    rows = [("SIZE", "AGE", "FILES", "WHY", "NAME")]
    rows += [
        (
            megabytes(item.size),
            age(item.age_s),
            str(len(item.files)),
            failures.get(item, item.why),
            item.label,
        )
        for item in found
    ]
    yield from table(rows, right=(0, 1, 2))
    yield ""
    yield from _deleted(found, failures) if options.delete else _listed(options, found, doubtful=doubtful)
    yield f"Kept: {count(kept, 'engine')}."


def _needed(options: PruneOptions, kept: int) -> str:
    if not kept:
        return "no engine in cache_root"
    others = " or of other hosts" if options.keep_hosts else ""
    return f"{count(kept, 'engine')} in cache_root, all needed by {options.config_file} here{others}"


def _listed(options: PruneOptions, found: Sequence[Unneeded], *, doubtful: bool) -> Iterator[str]:
    file = options.config_file
    yield f"{_total(found)} not needed by {file} here. Nothing was deleted."
    if doubtful:
        yield f"Note: no engine that {file} needs here exists. {_DOUBT} {_command(options, '--delete', '--force')}"
    else:
        yield f"Delete them with: {_command(options, '--delete')}"


def _deleted(found: Sequence[Unneeded], failures: dict[Unneeded, str]) -> Iterator[str]:
    yield f"Deleted: {_total([item for item in found if item not in failures])}."
    if failures:
        yield f"Not deleted: {count(len(failures), 'item')}; the reason stands in its line."


def _total(items: Sequence[Unneeded]) -> str:
    return f"{count(len(items), 'item')}, {megabytes(sum(item.size for item in items))}"


def _command(options: PruneOptions, *more: str) -> str:
    """Return the same command with ``more`` options."""
    config = [] if options.config_file == OPTION_CONFIG["default"] else ["--config", options.config_file]
    keep = ["--keep-hosts"] if options.keep_hosts else []
    return shlex.join(["doit", "engines-prune", *config, *keep, *more])


def _document(
    options: PruneOptions,
    inventories: Sequence[Inventory],
    found: Sequence[Unneeded],
    failures: dict[Unneeded, str],
) -> dict[str, Any]:
    return documents.document(
        "engines-prune",
        config=options.config_file,
        directories=[str(inventory.directory) for inventory in inventories],
        deleted=options.delete,
        size=sum(item.size for item in found),
        items=[
            {
                "directory": str(item.engine_path.parent),
                "files": [path.name for path in item.files],
                "kind": item.kind,
                "why": item.why,
                "size": item.size,
                "age_s": round(item.age_s),
                "deleted": options.delete and item not in failures,
                "problem": failures.get(item),
            }
            for item in found
        ],
    )
