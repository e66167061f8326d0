"""What becomes of the engines of a run: counted, logged and told.

``RunReporter`` does what every run needs (hash ahead, count, log events); ``EngineReporter`` also tells a
person, one line an engine and one for the whole run. Tasks that are not engines show as doit shows them.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

from doit.reporter import ConsoleReporter

from c10.building.result import EngineResult
from c10.cache.estimate import estimate_s
from c10.console import events
from c10.console.display import Display, make_display
from c10.console.interruption import is_interrupted, show_no_traceback
from c10.console.output import Output
from c10.corpus.target import EngineTarget
from c10.plugin.run_state import current_run
from c10.plugin.uptodate import target_of
from c10.runtimes.protocol import CompileOutcome

GROUP = "engines"


class RunReporter(ConsoleReporter):  # type: ignore[misc] # doit is untyped
    """Follows the engines of one run; subclasses tell somebody."""

    desc = "c10: events only"

    def __init__(self, outstream: Any, options: Any) -> None:
        super().__init__(outstream, options)
        self._started = time.perf_counter()
        self._counts = {"built": 0, "reused": 0, "failed": 0}
        self._has_engines = False
        self._waiting: dict[str, EngineTarget] = {}
        self._folders: set[Path] = set()

    def initialize(self, tasks: dict[str, Any], selected_tasks: list[str]) -> None:
        """Start to hash the engines that this run is going to ask about."""
        super().initialize(tasks, selected_tasks)
        needed = _needed(tasks, selected_tasks)
        self._has_engines = GROUP in needed
        self._waiting = {name: target for name in needed if (target := target_of(tasks[name]))}
        self._has_engines |= bool(self._waiting)
        self._folders = {target.engine_path.parent for target in self._waiting.values()}
        current_run().engines.prefetch(target.engine_path for target in self._waiting.values())

    def add_success(self, task: Any) -> None:
        """Count an engine that was built, here or meanwhile by another process."""
        target, result = target_of(task), EngineResult.from_values(task.values)
        if target is None or result is None:
            super().add_success(task)
            return
        self._waiting.pop(task.name, None)
        self._counts[result.outcome.value.lower()] += 1
        if result.outcome is CompileOutcome.REUSED:
            events.cache_hit(target)
        else:
            events.compile_warnings(target, result.warnings)
        self.engine_done(target, result, 0.0)

    def skip_uptodate(self, task: Any) -> None:
        """Count an engine that was reused."""
        target = target_of(task)
        if target is None:
            super().skip_uptodate(task)
            return
        self._waiting.pop(task.name, None)
        self._counts["reused"] += 1
        events.cache_hit(target)
        record = task.verdict.record
        self.engine_done(target, EngineResult.reused(task.verdict, record), record.compile_duration_s)

    def add_failure(self, task: Any, fail: Any) -> None:
        """Count an engine that failed, or that could not be tried."""
        target = target_of(task)
        if target is None:
            if task.name != GROUP:  # the group failed because engines did: each of them is told
                super().add_failure(task, fail)
            return
        self._waiting.pop(task.name, None)
        self._counts["failed"] += 1
        self.engine_failed(target, fail)

    def complete_run(self) -> None:
        """Remove the temporary files of dead processes, and log the summary."""
        from c10.cache.orphans import remove_orphans_in  # not needed to list tasks

        current_run().engines.forget()
        remove_orphans_in(sorted(self._folders))
        super().complete_run()
        if self._has_engines:
            duration = time.perf_counter() - self._started
            events.compile_summary(**self._counts, duration_s=duration)
            self.run_done(duration)

    def engine_done(self, target: EngineTarget, result: EngineResult, saved_s: float) -> None:
        """Tell of an engine that is there. ``saved_s`` is the compile time that reuse saved, in seconds."""

    def engine_failed(self, target: EngineTarget, fail: Any) -> None:
        """Tell of an engine that is not there."""

    def run_done(self, duration_s: float) -> None:
        """Tell of the whole run."""


class EngineReporter(RunReporter):
    """doit's console reporter that knows engines."""

    desc = "c10: one line an engine, with the reason of each build"

    def __init__(self, outstream: Any, options: Any) -> None:
        output = Output(outstream)
        super().__init__(output, options)
        self._channel = current_run().progress
        self._display: Display = make_display(output, self._channel)
        self._building: dict[str, EngineTarget] = {}
        self._saved_s = 0.0

    def initialize(self, tasks: dict[str, Any], selected_tasks: list[str]) -> None:
        """Begin; the tasks live until this process ends, so the garbage collector need not look at them again.

        Of a thousand engines that took a tenth of a warm run, most of it at the interpreter's exit.
        """
        super().initialize(tasks, selected_tasks)
        gc.freeze()

    def write(self, text: str) -> None:
        """Write doit's own lines where they do not disturb a live display."""
        self._display.write(text)

    def execute_task(self, task: Any) -> None:
        """Show that a build begins."""
        target = target_of(task)
        if target is None:
            super().execute_task(task)
        else:
            self._building[task.name] = target
            self._display.building(target.model_name, estimate_s(target))

    def engine_done(self, target: EngineTarget, result: EngineResult, saved_s: float) -> None:
        """Write the line of a built or reused engine, and below it the warnings of its build."""
        self._saved_s += saved_s
        size = _size(result.size)
        if result.duration_s is None:
            verified = current_run().engines.seconds(target.engine_path)
            detail = f"{size} verified in {verified:.2f} s"
        else:
            network = f", {result.network}" if result.network else ""
            detail = f"{result.reason} ({size} in {result.duration_s:.1f} s{network})"
        self._display.write(f"{result.outcome.value:<6} {target.model_name}: {detail}\n")
        for warning in result.warnings:
            self._display.write(f"       {target.model_name}: warning: {warning}\n")

    def engine_failed(self, target: EngineTarget, fail: Any) -> None:
        """Write where, what and what to do; a traceback only for what is nobody's message."""
        text = fail.get_msg().strip()
        self._display.write(f"FAILED {target.model_name}: {text}\n")

    def run_done(self, duration_s: float) -> None:
        """Write the last line; where not all were tried, what to do now."""
        counts = self._counts | ({"not tried": len(self._waiting)} if self._waiting else {})
        parts = ", ".join(f"{count} {what}" for what, count in counts.items())
        saved = f"; reuse saved {_duration(self._saved_s)} of compiling" if self._saved_s else ""
        self._display.write(f"engines: {parts} in {_duration(duration_s)}{saved}\n")
        if not any(counts.values()):
            self._display.write("The corpus names no backbone: add a [[backbones]] table to backbones.toml.\n")
        if self._waiting and self._counts["failed"] and not is_interrupted():
            self._display.write("doit stops at the first failure; to try the others too: doit --continue engines\n")

    def complete_run(self) -> None:
        """Close the display."""
        if is_interrupted():
            show_no_traceback()
        try:
            super().complete_run()
            if is_interrupted():
                self._interrupted()
        finally:
            self._display.close()
            self._channel.close()

    def _interrupted(self) -> None:
        unfinished = ", ".join(t.model_name for name, t in self._building.items() if name in self._waiting)
        lost = f"{unfinished} not finished" if unfinished else "between two tasks"
        self._display.write(f"interrupted: {lost}; no half-made engine is left. Run the same command to go on.\n")


def _needed(tasks: dict[str, Any], selected: list[str]) -> list[str]:
    """Return the selected tasks and all that they depend on, in order."""
    needed: dict[str, None] = {}
    waiting = list(reversed(selected))
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed[name] = None
            waiting.extend(reversed([*tasks[name].task_dep, *tasks[name].setup_tasks]))
    return list(needed)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _duration(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - above, minutes read better
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"
