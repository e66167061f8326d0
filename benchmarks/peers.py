"""Other tools, asked the same of the same files: whether they are what they were.

Each gets one step that depends on all engines, and nothing else, so that none does more than it must. Python
tools are installed in environments of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from corpora import Corpus
from measure import Command


@dataclass(frozen=True)
class Peer:
    """A tool: the package to install (none where the system has it), its project files, its command."""

    name: str
    package: str | None
    prepare: Callable[[Corpus, Path], None]
    arguments: Callable[[Corpus, Path], list[str]]


def command(peer: Peer, corpus: Corpus, work: Path) -> Command:
    """Install the tool, write its project files into the corpus and return the run that has nothing to do."""
    programs = _environment(work, peer.package) if peer.package else Path("/usr/bin")
    peer.prepare(corpus, programs)
    environment = {**corpus.environment, "DVC_NO_ANALYTICS": "1", "XDG_CACHE_HOME": str(work / "cache")}
    made = Command(peer.arguments(corpus, programs), corpus.folder, environment)
    for _ in range(2):
        made.run()
    return made


def version(peer: Peer, work: Path) -> str:
    """Return the tool's version."""
    if peer.package is None:
        done = subprocess.run([peer.name.split()[0], "--version"], capture_output=True, text=True, check=True)
        return done.stdout.partition("\n")[0].rpartition(" ")[2]
    ask = f"from importlib.metadata import version; print(version({peer.package!r}))"
    python = work / "peers" / peer.package / "bin" / "python"
    return subprocess.run([str(python), "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def _environment(work: Path, package: str) -> Path:
    folder = work / "peers" / package
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(folder)], check=True)
        python = str(folder / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", package]
        subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
        (folder / "installed").touch()
    return folder / "bin"


def _scons(corpus: Corpus, _: Path) -> None:
    (corpus.folder / "SConstruct").write_text(
        "SetOption('hash_format', 'sha256')\n"
        "SetOption('max_drift', -1)  # never trust a time stamp: read the content\n"
        "Decider('content')\n"
        f"Command('scons.stamp', {corpus.engines!r}, Touch('$TARGET'))\n",
        "utf-8",
    )


def _snakemake(corpus: Corpus, _: Path) -> None:
    (corpus.folder / "Snakefile").write_text(
        f"rule verified:\n    input: {corpus.engines!r}\n    output: touch('snakemake.stamp')\n", "utf-8"
    )


def _dvc(corpus: Corpus, programs: Path) -> None:
    if not (corpus.folder / ".dvc").exists():
        dvc = str(programs / "dvc")
        for arguments in (["init", "--no-scm", "-q"], ["config", "core.analytics", "false"]):
            subprocess.run([dvc, *arguments], cwd=corpus.folder, check=True, capture_output=True)
    # JSON is YAML too.
    stage = {"stages": {"verified": {"cmd": "touch dvc.stamp", "deps": corpus.engines}}}
    (corpus.folder / "dvc.yaml").write_text(json.dumps(stage), "utf-8")


def _nothing(_: Corpus, __: Path) -> None:
    pass


def _sidecars(corpus: Corpus, programs: Path) -> list[str]:
    files = " ".join(f"'{Path(engine).name}.sha256'" for engine in corpus.engines)
    return ["/bin/sh", "-c", f"cd engines && exec {programs}/sha256sum -c --quiet {files}"]


PEERS = (
    Peer("sha256sum -c", None, _nothing, _sidecars),
    Peer("SCons", "scons", _scons, lambda _, programs: [str(programs / "scons"), "-Q", "scons.stamp"]),
    Peer("Snakemake", "snakemake", _snakemake, lambda _, programs: [str(programs / "snakemake"), "-q", "-c", "2"]),
    Peer("DVC", "dvc", _dvc, lambda _, programs: [str(programs / "dvc"), "repro", "-q"]),
)
