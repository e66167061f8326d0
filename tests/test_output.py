"""Output that cannot be written, and Ctrl-C: no engine is lost for it, and nobody reads a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import MODELS, TESTS, Corpus, doit
from light_corpus import write_light_corpus

#: doit, deaf to no Ctrl-C: a shell starts what runs in the background so that it ignores one.
DOIT = """
import signal, sys
from doit.doit_cmd import DoitMain
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(DoitMain().run(sys.argv[1:]))
"""
COMMANDS = ("engines-plan", "engines-prune", "engines-verify")


def shell(corpus: Corpus, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which $doit stands for doit."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "doit": f"{sys.executable} -m doit", **variables}
    command = ["bash", "-o", "pipefail", "-c", line]
    return subprocess.run(command, cwd=corpus.folder, env=environment, capture_output=True, text=True, check=False)


def built(corpus: Corpus) -> list[str]:
    return sorted(path.name.partition("__")[0] for path in corpus.folder.rglob("*.engine"))


@pytest.mark.parametrize(
    ("where", "lost"),
    [
        (">&-", ""),
        (">/dev/full", "c10.output.lost [Errno 28] No space left on device: the run continues"),
        ("| true", "c10.output.lost [Errno 32] Broken pipe: the run continues"),
        ("2>/dev/full", ""),
        ("2>&-", ""),
        (">&- 2>&- <&-", ""),
    ],
)
def test_engines_are_built_whatever_becomes_of_the_output(corpus: Corpus, where: str, lost: str) -> None:
    corpus.write()
    done = shell(corpus, f"exec 3>&1; (sleep 0.5; $doit engines; echo status=$? >&3) {where}")
    assert "status=0" in done.stdout
    assert built(corpus) == sorted(MODELS)
    assert lost in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("where", "got"), [(">&-", "got it closed"), (">/dev/full", "got [Errno 28] No space left on device")]
)
def test_an_answer_that_cannot_be_written_is_not_given(corpus: Corpus, command: str, where: str, got: str) -> None:
    assert corpus.write().doit("engines").returncode == 0
    done = shell(corpus, f"$doit {command} {where}")
    assert done.returncode == 3
    assert done.stderr.startswith("ERROR: standard output: expected")
    assert got in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_an_encoding_does_not_have_becomes_a_question_mark(corpus: Corpus) -> None:
    corpus.write()
    run = ("engines", "list --all --status", "info engines:aliked", "engines-verify", "engines-plan")
    done = shell(corpus, " && ".join(f"$doit {arguments}" for arguments in run), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert " ? aliked__sm87_jp6.2_trt10.3_fp16.engine" in done.stdout


def interrupted(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run four real builds, and press Ctrl-C once its first engine is there."""
    command = [sys.executable, "-c", DOIT, *options, "engines"]
    run = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(folder.rglob("*.engine.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal: to every process of the group
    stdout, stderr = run.communicate(timeout=60)
    return subprocess.CompletedProcess(command, run.returncode, stdout, stderr)


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_ctrl_c_says_what_is_left_and_how_to_go_on(tmp_path: Path, options: list[str]) -> None:
    write_light_corpus(tmp_path)
    done = interrupted(tmp_path, *options)
    assert done.returncode == -signal.SIGINT  # what a shell shows as 130
    assert "Traceback" not in done.stdout + done.stderr
    assert "not tried in" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("interrupted: ")
    assert done.stdout.endswith("; no half-made engine is left. Run the same command to go on.\n")
    again = doit(tmp_path, "engines")
    assert again.returncode == 0
    assert again.stdout.count("REUSED ") >= 1
    assert again.stdout.count("BUILT ") + again.stdout.count("REUSED ") == 4
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_failure_says_what_was_not_tried(corpus: Corpus) -> None:
    corpus.failures = {MODELS[0]: "EngineBuildError"}
    corpus.write()
    done = shell(corpus, "$doit engines")
    assert done.returncode == 1
    summary, advice = done.stdout.splitlines()[-2:]
    assert summary.startswith("engines: 0 built, 0 reused, 1 failed, 2 not tried in ")
    assert advice == "doit stops at the first failure; to try the others too: doit --continue engines"
    done = shell(corpus, "$doit --continue engines")
    assert done.stdout.splitlines()[-1].startswith("engines: 2 built, 0 reused, 1 failed in ")
