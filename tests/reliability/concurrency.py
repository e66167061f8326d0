"""Several ``doit engines`` at once, on one cold cache."""

from __future__ import annotations

from .project import Project, Run


def built_once(project: Project, processes: int, *argv: str) -> list[Run]:
    """Start them together; each engine has to be compiled once, and all have to end well."""
    project.behave(sleep=0.2)
    before = len(project.compiles())
    started = [project.start(*argv) for _ in range(processes)]
    runs = [one.wait() for one in started]
    for run in runs:
        project.check(run)
    assert [run.status for run in runs] == [0] * processes, "\n".join(run.text for run in runs)
    compiled = project.compiles()[before:]
    assert sorted(compiled) == sorted(project.engine(model).name for model in project.models), compiled
    return runs
