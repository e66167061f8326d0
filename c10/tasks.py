"""The doit tasks: what a dodo.py imports.

from c10.tasks import DOIT_CONFIG, task_engines
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from c10.plugin.engines import engine_tasks
from c10.plugin.reporter import EngineReporter
from c10.plugin.run_state import SourceChecker

__all__ = ["DOIT_CONFIG", "engine_tasks", "task_engines", "task_image"]

#: doit's settings for a dodo.py: what `doit` alone runs, c10's reporter, a database that survives two runs at once.
DOIT_CONFIG: Final[dict[str, Any]] = {
    "default_tasks": ["engines"],
    "reporter": EngineReporter,
    "backend": "c10",
    "check_file_uptodate": SourceChecker,
    "dep_file": ".doit.db",
}


def task_engines() -> Iterator[dict[str, Any]]:
    """TensorRT engines, one per backbone"""  # noqa: D400 - what `doit list` prints
    yield from engine_tasks()


def task_image() -> dict[str, Any]:
    """Image of the engines, to be copied from or mounted"""  # noqa: D400 - what `doit list` prints
    from c10.image.task import image_task

    return image_task()
