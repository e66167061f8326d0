"""What a person sees: on a terminal (tmux, at 80 and at 200 columns), and in a file."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from light_corpus import write_light_corpus

from c10.console import display
from c10.console.display import PlainDisplay
from c10.console.live import coloured
from c10.console.output import Output
from c10.console.progress import ProgressChannel
from c10.runtimes.protocol import BuildProgress

ROOT = Path(__file__).parents[1]
CORPUS = ("dodo.py", "backbones.toml")
LINE = re.compile(r"(BUILT |REUSED|FAILED) [a-z0-9_]+: .+|engines: \d+ built, \d+ reused, \d+ failed in .+")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in CORPUS:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture
def light(tmp_path: Path) -> Path:
    return write_light_corpus(tmp_path)


def doit(checkout: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "doit", *argv]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)


def engine_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("BUILT", "REUSED", "FAILED", "engines:"))]


def test_a_file_gets_whole_plain_lines(checkout: Path) -> None:
    cold, warm = doit(checkout, "engines"), doit(checkout, "engines")
    (checkout / "models" / "resnet50.onnx").write_bytes(b"no model")
    failed = doit(checkout, "--continue", "engines:resnet50")
    assert [run.returncode for run in (cold, warm, failed)] == [0, 0, 1]
    assert "\x1b" not in cold.stdout + warm.stdout + failed.stdout + cold.stderr
    assert [line.split()[0] for line in engine_lines(cold.stdout)] == ["BUILT"] * 4 + ["engines:"]
    assert [line.split()[0] for line in engine_lines(warm.stdout)] == ["REUSED"] * 4 + ["engines:"]
    assert [line.split()[0] for line in engine_lines(failed.stdout)] == ["FAILED", "engines:"]
    assert all(LINE.fullmatch(line) for run in (cold, warm, failed) for line in engine_lines(run.stdout))
    assert "Traceback" not in failed.stdout + failed.stderr
    assert "The older engine is left as it was" in failed.stdout
    assert "reuse saved" in warm.stdout
    assert "c10.engine.cache.miss resnet50: no engine yet" in cold.stderr
    assert warm.stderr == ""


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux: apt-get install tmux")
@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_shows_the_build_and_keeps_the_lines(light: Path, width: int) -> None:
    session = f"c10-{width}-{time.monotonic_ns()}"
    python = sys.executable
    (light / "session.sh").write_text(
        f"""unset COLUMNS LINES # a terminal's size is its own: a test runner's would be believed instead
        {python} -m doit -n 2 engines; echo cold=$?
        {python} -m doit engines; echo warm=$?
        echo no model >models/resnet50.onnx
        {python} -m doit engines:resnet50; echo status=$?
        sleep 60"""
    )
    tmux = ["tmux", "-L", session]
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", str(width), "-y", "90", "-c", str(light), "sh session.sh"], check=True
    )
    try:
        frames = []
        deadline = time.monotonic() + 120
        while "status=" not in "".join(frames[-1:]) and time.monotonic() < deadline:
            time.sleep(0.05)
            shown = subprocess.run([*tmux, "capture-pane", "-p", "-J"], capture_output=True, text=True, check=True)
            frames.append(shown.stdout)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    last = [line.rstrip() for line in frames[-1].splitlines() if line.strip()]
    cold, warm, failed = last.index("cold=0"), last.index("warm=0"), last.index("status=1")
    built = sorted(line.split(":")[0] for line in engine_lines("\n".join(last[:cold])))
    assert built == ["BUILT  inception_v1", "BUILT  resnet50", "BUILT  shufflenet", "BUILT  squeezenet", "engines"]
    assert [line.split()[0] for line in engine_lines("\n".join(last[cold:warm]))] == ["REUSED"] * 4 + ["engines:"]
    assert [line.split()[0] for line in engine_lines("\n".join(last[warm:failed]))] == ["FAILED", "engines:"]
    assert "The older engine is left as it was" in " ".join(last[warm:failed])
    assert not any("WARNING" in frame for frame in frames), "the terminal's lines take the place of the text log"
    drawn = [line for frame in frames for line in frame.splitlines() if re.match(r"(resnet50|squeezenet) +\w", line)]
    assert drawn, "no build was ever drawn"
    assert all(len(line) <= min(width, 100) for line in drawn)
    assert not any(re.match(r"(resnet50|squeezenet) +\w", line) for line in last), "a drawing was left behind"


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux: apt-get install tmux")
def test_ctrl_c_on_a_terminal_leaves_no_drawing_behind(light: Path) -> None:
    """What the terminal echoes (^C) stands behind the last line that is drawn, and must not push it off its place."""
    session = f"c10-interrupt-{time.monotonic_ns()}"
    (light / "session.sh").write_text(
        f"trap : INT; unset COLUMNS LINES; {sys.executable} -m doit -n 2 engines; echo status=$?; sleep 60"
    )
    tmux = ["tmux", "-L", session]
    start = [*tmux, "new-session", "-d", "-x", "80", "-y", "40", "-c", str(light), "bash session.sh"]
    subprocess.run(start, check=True)
    try:
        shown, sent, deadline = "", False, time.monotonic() + 120
        while "status=" not in shown and time.monotonic() < deadline:
            time.sleep(0.05)
            shown = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True).stdout
            if not sent and re.search(r"^(resnet50|squeezenet) .* s$", shown, re.MULTILINE):
                sent = bool(subprocess.run([*tmux, "send-keys", "C-c"], check=True))
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    lines = [line.rstrip() for line in shown.splitlines() if line.strip()]
    assert lines[-1] == "status=130"
    text = "".join(lines[:-1])
    assert re.search(r"engines: \d built, 0 reused, 0 failed, [2-4] not tried in ", text)
    assert text.endswith("; no half-made engine is left. Run the same command to go on.")
    assert not any(re.match(r"(resnet50|squeezenet) +\w", line) for line in lines), "a drawing was left behind"


def test_a_long_build_gives_signs_of_life() -> None:
    stream = io.StringIO()
    channel = ProgressChannel()
    channel.open()
    plain = PlainDisplay(Output(stream), channel, heartbeat_s=0.2)
    try:
        plain.building("dinov2_vpr", 8.0)
        channel.callback("dinov2_vpr")(BuildProgress("Building engine", 3, 7))
        deadline = time.monotonic() + 30
        while stream.getvalue().count("\n") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        channel.finished("dinov2_vpr")
    finally:
        plain.close()
        channel.close()
    lines = stream.getvalue().splitlines()
    assert len(lines) >= 2
    assert all(re.fullmatch(r"building dinov2_vpr: \d+ s of about 8 s, Building engine 3/7", line) for line in lines)


def test_a_lost_listener_costs_a_build_nothing() -> None:
    channel = ProgressChannel()
    channel.open()
    send = channel.callback("m")
    for step in range(20_000):  # far more than a pipe holds, and nobody reads
        send(BuildProgress("Phase", step, 20_000))
    channel.close()
    send(BuildProgress("Phase"))


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured("FAILED x: y\n") == "\x1b[1;31mFAILED\x1b[0m x: y\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("FAILED x: y\n") == "FAILED x: y\n"


def test_a_stream_that_is_no_terminal_or_carries_json_is_not_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("C10_LOG_FORMAT", raising=False)
    assert display.is_live(Output(Terminal()))
    assert not display.is_live(Output(io.StringIO()))
    monkeypatch.setenv("C10_LOG_FORMAT", "json")
    assert not display.is_live(Output(Terminal()))
    monkeypatch.delenv("C10_LOG_FORMAT")
    monkeypatch.setenv("TERM", "dumb")
    assert not display.is_live(Output(Terminal()))


def test_doits_own_reporters_still_work(checkout: Path) -> None:
    import json

    assert doit(checkout, "engines:squeezenet").returncode == 0
    zero = doit(checkout, "-r", "zero", "engines:squeezenet")
    assert (zero.returncode, zero.stdout) == (0, "")
    as_json = json.loads(doit(checkout, "-r", "json", "engines:squeezenet").stdout)
    results = {task["name"]: task["result"] for task in as_json["tasks"]}
    assert results["engines:squeezenet"] == "up-to-date"
    assert "REUSED squeezenet" in doit(checkout, "-r", "c10", "engines:squeezenet").stdout
