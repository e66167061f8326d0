"""What c10 adds to doit's own start: `doit list` and `doit info` beside a dodo.py without c10, and its reporter."""

from __future__ import annotations

import sys
from pathlib import Path

from corpora import Corpus
from measure import Command, Spread, alternate
from table import Row

_ALLOWED_S = 0.040
_REPORTER_SLACK = 1.05

#: As many tasks, over the same files, in doit's own configuration.
PLAIN = '''\
def task_engines():
    """engines, one per backbone"""
    for index, engine in enumerate({engines!r}):
        yield {{
            "name": f"model_{{index:04d}}",
            "file_dep": [f"models/model_{{index:04d}}.onnx"],
            "targets": [engine, engine + ".sha256", engine + ".json"],
            "actions": ["true"],
        }}
'''

#: c10's tasks under doit's reporter that prints nothing; by class, as `-r zero` would also pay for looking up plugins.
ZERO = """\
from doit.reporter import ZeroReporter

from c10.tasks import DOIT_CONFIG, task_engines

DOIT_CONFIG = {**DOIT_CONFIG, "reporter": ZeroReporter}
"""


def start(corpus: Corpus, rounds: int) -> list[Row]:
    """Compare the start of both commands."""
    plain = _plain(corpus)
    rows = []
    for arguments in (["list"], ["info", "engines:model_0000"]):
        own = Command([sys.executable, "-m", "doit", *arguments], plain, corpus.environment)
        runs = alternate(rounds, corpus.doit(*arguments).run, own.run)
        rows.append(
            Row(
                f"`doit {arguments[0]}`, {corpus.count} engines",
                "≤ doit's own start + 40 ms",
                f"{Spread.of(1e3 * (ours.wall_s - theirs.wall_s) for ours, theirs in runs)} ms more",
                Spread.of((ours.wall_s - theirs.wall_s) / _ALLOWED_S for ours, theirs in runs),
                f"{Spread.of(1e3 * ours.wall_s for ours, _ in runs)} ms to "
                f"{Spread.of(1e3 * theirs.wall_s for _, theirs in runs)} ms",
            )
        )
    return [*rows, _reporter(corpus, rounds)]


def _reporter(corpus: Corpus, rounds: int) -> Row:
    """Compare a warm run with the same under doit's reporter that prints nothing."""
    (corpus.folder / "zero.py").write_text(ZERO, "utf-8")
    runs = alternate(rounds, corpus.doit("engines").run, corpus.doit("-f", "zero.py", "engines").run)
    return Row(
        f"warm `doit engines`, {corpus.count} engines, against `-r zero`",
        f"≤ {_REPORTER_SLACK} ×",
        f"{Spread.of(1e3 * ours.wall_s for ours, _ in runs)} ms to "
        f"{Spread.of(1e3 * silent.wall_s for _, silent in runs)} ms",
        Spread.of(ours.wall_s / silent.wall_s / _REPORTER_SLACK for ours, silent in runs),
        f"processor time {Spread.of(ours.cpu_s / silent.cpu_s for ours, silent in runs)} ×",
    )


def _plain(corpus: Corpus) -> Path:
    folder = corpus.folder / "plain"
    folder.mkdir(exist_ok=True)
    for name in ("engines", "models"):
        if not (folder / name).exists():
            (folder / name).symlink_to(corpus.folder / name)
    (folder / "dodo.py").write_text(PLAIN.format(engines=corpus.engines), "utf-8")
    Command([sys.executable, "-m", "doit"], folder, corpus.environment).run()
    return folder
