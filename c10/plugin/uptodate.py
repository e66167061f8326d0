"""The up-to-date rule as doit knows it.

doit's decision (0.37): every ``uptodate`` item is asked, then targets, then the saved state of file_dep; with
no saved state a task runs, whatever ``uptodate`` said. So a checker that has proved an engine good first
brings doit's database in line ("adopt"): a fresh checkout, a lost database or an engine copied from elsewhere
are reused.
"""

from __future__ import annotations

from dataclasses import replace
from inspect import Parameter, Signature
from types import SimpleNamespace
from typing import Any, Final

from doit.globals import Globals

from c10.building.result import EngineResult
from c10.corpus.target import EngineTarget
from c10.plugin.description import TaskDescription
from c10.plugin.run_state import current_run
from c10.proof.verdict import Proof, Verdict, judge


class EngineUpToDate:
    """Item of a task's ``uptodate``: asks for the verdict, remembers it, never raises."""

    #: doit inspects each item's signature; to work it out anew for each engine took a tenth of a warm run.
    __signature__: Final = Signature([Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("task", "values")])

    def __init__(self, target: EngineTarget) -> None:
        self.target = target
        self._verdict: Verdict | None = None

    def __call__(self, task: Any, values: dict[str, Any]) -> bool:
        """Return whether the engine may be reused; the action finds the verdict on the task."""
        run = current_run()
        if (saved := EngineResult.from_values(values)) is not None:
            run.sources.learn(saved.sources)
        verdict = self._verdict = judge(self.target, run.sources, run.engine_digest)
        task.verdict = verdict
        task.meta = TaskDescription(self.target, verdict)
        if isinstance(verdict, Proof):
            run.settled.settle(self.target.engine_path.parent)
            result = EngineResult.reused(verdict, verdict.record)
            adopt(task, replace(result, sources=run.sources.dump(task.file_dep)))
            return True
        return False

    def __repr__(self) -> str:
        return str(self._verdict) if self._verdict else f"whether {self.target.engine_path} may be reused"


def target_of(task: Any) -> EngineTarget | None:
    """Return the engine that a doit task is about; None where it is another task."""
    for item, *_ in task.uptodate:
        if isinstance(item, EngineUpToDate):
            return item.target
    return None


def adopt(task: Any, result: EngineResult) -> None:
    """Save a success of the task where doit's database would have it run.

    `doit info` and `doit list` never close the database, so they adopt in memory alone.
    """
    database: Any = Globals.dep_manager  # declared as None in doit
    # The task as it is saved; that it is intact, and its targets there, was found for the verdict.
    question = SimpleNamespace(name=task.name, file_dep=task.file_dep, targets=(), uptodate=[(True, [], {})])
    values = result.to_values()
    if database.get_status(question, {}).status == "run" or database.get_values(task.name) != values:
        task.values = task.result = values
        database.save_success(task)
