"""``doit engines-plan``: what would be rebuilt, and why, here or on another host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from doit import get_var
from doit.exceptions import InvalidCommand

from c10.building.planning import PlannedEngine, blocked_lines, build_command, describe_host, plan_corpus
from c10.cache.reading import EngineReader
from c10.commands import documents
from c10.commands.base import (
    OK,
    OPTION_CONFIG,
    OPTION_JSON,
    EngineCommand,
    refuse_arguments,
    write,
    write_json,
)
from c10.console.text import count, seconds, table
from c10.corpus.config import C10ProvisioningConfig
from c10.corpus.runtimes import RUNTIMES
from c10.corpus.target import PLACEHOLDER, PLACEHOLDERS
from c10.errors import HostProbeError
from c10.host import HostCapabilities
from c10.host.capabilities import FACT_OF, HOST_FACTS
from c10.host.parse_host import EXAMPLE, FIELDS, parse_host

_EXAMPLES: Final = " or ".join(f"--host {row.host_example}" for row in RUNTIMES)
#: What to do if a host is not described well enough, by the configuration's ``runtime``.
_IN_FULL: Final = {
    "auto": f"Describe that host in full: {_EXAMPLES}, for example",
    **{
        row.word: f'The configuration says runtime = "{row.word}": describe that host by --host {row.host_example}'
        for row in RUNTIMES
    },
}
_FACT: Final = re.compile(r"(\w+)=")
_NEEDED: Final = frozenset(_FACT.findall(_EXAMPLES))
_MORE: Final = tuple(fact.name for fact in HOST_FACTS if fact.name not in _NEEDED and not fact.not_in_key)


def _needed_facts() -> str:
    """Return the facts that a plan needs, in words: for each runtime those of its example."""
    examples = (_FACT.findall(row.host_example) for row in RUNTIMES)
    return ", or ".join(", ".join(f"{name} ({FACT_OF[name].words})" for name in names) for names in examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """The options of ``doit engines-plan``."""

    config_file: str
    """The path of the corpus's backbones.toml."""
    host: str | None
    """Facts of another host, as ``parse_host`` reads them; None for this machine."""
    as_json: bool
    """Print one JSON document instead of lines."""


class EnginesPlan(EngineCommand[PlanOptions]):
    """Judges every engine as a run would, and builds nothing."""

    name = "engines-plan"
    doc_purpose = "show what `doit engines` would rebuild, and why"
    doc_usage = ""
    doc_description = (
        "Judges every engine of the corpus as a run would, and says why. Needs no GPU and builds nothing.\n\n"
        f"--host describes another machine by what is known of it: {_needed_facts()}; sm may be 87 or 8.7. "
        f"More make the answer more exact: {', '.join(_MORE)}. What is left open counts as unchanged, and the answer "
        "says so.\n\n"
        "Exit status:\n"
        "0: the plan was made, whatever it says\n"
        "3: it could not be (wrong option or configuration)"
    )
    options_type = PlanOptions
    cmd_options = (
        OPTION_CONFIG,
        {
            "name": "host",
            "long": "host",
            "type": str,
            "default": None,
            "metavar": "FACTS",
            "help": f"plan for another host: {EXAMPLE}",
        },
        OPTION_JSON,
    )

    def look(self, options: PlanOptions, arguments: list[str]) -> int:
        """Judge and report."""
        refuse_arguments(self, arguments)
        config = C10ProvisioningConfig.load(options.config_file)
        plan = _plan(config, options.host)
        other_host = options.host is not None
        if options.as_json:
            write_json(_document(options.config_file, plan, other_host=other_host))
        else:
            write(_lines(options.config_file, plan, other_host=other_host))
        return OK

    def parse_execute(self, in_args: list[str]) -> Any:
        """Put the facts back behind ``--host``: doit takes each ``NAME=VALUE`` for a variable of the dodo.py."""
        if in_args.count("--host") > 1:
            raise InvalidCommand(f"--host: expected once, got twice\nJoin the facts by commas: --host {EXAMPLE}")
        return super().parse_execute(_with_host(in_args))


def _with_host(arguments: list[str]) -> list[str]:
    if "--host" not in arguments:
        return arguments
    at = arguments.index("--host")
    before, after = arguments[:at], arguments[at + 1 :]
    facts = [f"{name}={value}" for name in FIELDS if (value := get_var(name)) is not None]
    if not facts and after and not after[0].startswith("-"):
        return arguments  # what stands there is wrong, and is still there to be shown
    return [*before, f"--host={','.join(facts)}", *after]


def _plan(config: C10ProvisioningConfig, host: str | None) -> list[PlannedEngine]:
    reader = EngineReader()
    if host is None:
        return plan_corpus(config, engine_digest=reader.digest)
    try:
        facts = parse_host(host)
        _refuse_unnamed(config, host, facts)
    except HostProbeError as error:
        raise _about(host, error, error.remedy) from error
    try:
        return plan_corpus(config, facts, reader.digest)
    except HostProbeError as error:
        raise _about(host, error, _IN_FULL[config.runtime]) from error


def _about(host: str, error: HostProbeError, remedy: str) -> HostProbeError:
    return HostProbeError(f"{f'--host {host}'.rstrip()}: {error.message}", remedy=remedy)


def _refuse_unnamed(config: C10ProvisioningConfig, host: str, facts: HostCapabilities) -> None:
    """Raise HostProbeError where a cache_root is named by what nobody said of the host: an empty one says nothing."""
    names = PLACEHOLDER.findall(str(config.cache_root))
    lacking = [fact for name in names if getattr(facts, fact := PLACEHOLDERS[name]) is None]
    if lacking and facts.trt is not None:  # TensorRT-RTX needs no GPU, and so a directory may have no name of one
        raise HostProbeError(
            f"expected {lacking[0]}, which cache_root {config.cache_root} is named by, got none",
            remedy=f"Add it: --host {host},{lacking[0]}=…",
        )


def _lines(config_file: str, plan: Sequence[PlannedEngine], *, other_host: bool) -> Iterator[str]:
    if not plan:
        yield f"{config_file}: no backbone, nothing to build. Name one in a [[backbones]] table."
        return
    where = "on another host" if other_host else "here"
    directory = plan[0].target.engine_path.parent
    yield f"{config_file} {where}: {describe_host(e.target for e in plan)}; cache_root {directory}"
    yield ""
    rows = [("MODEL", "PLAN", "LAST BUILD", "WHY")]
    rows += [(e.target.model_name, e.action, seconds(e.last_duration_s), e.why) for e in plan]
    yield from table(rows, right=(2,))
    yield ""
    yield from _conclusion(plan, other_host=other_host)
    yield from blocked_lines(plan)


def _conclusion(plan: Sequence[PlannedEngine], *, other_host: bool) -> Iterator[str]:
    builds = [engine for engine in plan if engine.action == "build"]
    if all(engine.action == "reuse" for engine in plan):
        yield f"Nothing to build: all {count(len(plan), 'engine')} would be reused."
    if not builds:
        return
    known = [engine.last_duration_s for engine in builds if engine.last_duration_s is not None]
    time = f", about {seconds(sum(known))} by their last recorded builds" if known else ""
    if known and len(known) < len(builds):
        time += f" ({len(builds) - len(known)} of them never recorded)"
    where = "there " if other_host else ""
    yield f"{len(builds)} of {count(len(plan), 'engine')} to build{time}. Build them {where}with: {build_command(plan)}"


def _document(config_file: str, plan: Sequence[PlannedEngine], *, other_host: bool) -> dict[str, Any]:
    known = [e.last_duration_s for e in plan if e.action == "build" and e.last_duration_s is not None]
    return documents.document(
        "engines-plan",
        config=config_file,
        other_host=other_host,
        host=documents.host(plan[0].target.host) if plan else None,
        counts=documents.counts(engine.action for engine in plan),
        estimated_s=round(sum(known), 3) if known else None,
        engines=[documents.planned(engine) for engine in plan],
    )
