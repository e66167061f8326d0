"""The README's samples are run, its tables are the code's, and its links lead somewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import HOST, Corpus, doit, run

from c10 import BuildOptions, C10ProvisioningConfig
from c10.corpus.build_options import OPTION_KEYS
from c10.corpus.option_forms import Choice, Whole
from c10.corpus.spec import BUILD_OPTIONS
from c10.proof.facts import FACTS
from c10.proof.verdict import _WORDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def samples(kind: str) -> list[str]:
    return re.findall(rf"<!-- run: {kind} -->\n```\w+\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("sample", samples("toml"))
def test_a_configuration_is_accepted(sample: str, tmp_path: Path) -> None:
    path = tmp_path / "backbones.toml"
    path.write_text(sample)
    assert C10ProvisioningConfig.load(path).backbones


@pytest.mark.parametrize("sample", samples("python"))
def test_a_python_sample_runs(sample: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", sample], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("sample", samples("dodo"))
def test_a_dodo_lists_its_engines(sample: str, tmp_path: Path) -> None:
    (tmp_path / "dodo.py").write_text(sample)
    (tmp_path / "backbones.toml").write_text('runtime = "tensorrt_rtx"\n' + samples("toml")[0])
    argv = [sys.executable, "-m", "doit", "list", "--all"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "engines:dinov2_vpr" in done.stdout


def test_there_are_samples_of_every_kind() -> None:
    assert [len(samples(kind)) for kind in ("toml", "python", "dodo")] == [2, 1, 2]


def test_the_table_of_facts_is_the_codes() -> None:
    rows = re.search(r"<!-- facts table -->\n.*?\n.*?\n(.*?)\n\n", README, re.DOTALL)
    assert rows is not None
    effects = {"rebuild": "rebuild", "note": "note only"}
    assert rows[1].splitlines() == [f"| {fact.words} | {effects[fact.effect]} |" for fact in FACTS]


def test_every_option_and_every_reason_is_named() -> None:
    missing = [
        name for name in (*OPTION_KEYS, *_WORDS) if f"`{name}`" not in README and not name.startswith("signature")
    ]
    assert missing == []


def test_the_keys_of_a_backbone_have_the_defaults_and_the_values_of_the_code() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]*) \| ([^|]*) \|$", README, re.MULTILINE)
    default_of, meaning_of = {}, {}
    for keys, defaults, meaning in rows:
        names = [key.strip("` ") for key in keys.split(",")]
        values = defaults.split(", ")
        default_of |= dict(zip(names, values * len(names) if len(values) == 1 else values, strict=True))
        meaning_of |= dict.fromkeys(names, meaning)
    for option in BUILD_OPTIONS:
        default = getattr(BuildOptions(), option.name)
        shown = "none" if default is None else f"`{json.dumps(default)}`"
        assert default_of.get(option.name) == shown, option.name
        words = option.form.words if isinstance(option.form, Choice) else ()
        assert [word for word in words if f"`{word}`" not in meaning_of[option.name] + shown.replace('"', "")] == []
        if isinstance(option.form, Whole) and default is not None:
            assert f"{option.form.low} to {option.form.high}" in meaning_of[option.name]


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_transcript_is_what_is_printed() -> None:
    """Its sentences, without figures: the lines of a cold and of a warm run."""
    transcript = re.search(r"<!-- transcript -->\n```console\n(.*?)```", README, re.DOTALL)
    assert transcript is not None
    lines = [re.sub(r"[\d.]+", "N", line) for line in transcript[1].splitlines() if ":" in line]
    for line in (
        "BUILT  resnetN: no engine yet (N MB in N s, N % of its weights in fpN)",
        "REUSED resnetN: N MB verified in N s",
        "engines: N built, N reused, N failed in N s",
        "engines: N built, N reused, N failed in N s; reuse saved N s of compiling",
    ):
        assert line in lines


def test_the_plan_of_an_upgrade_is_what_is_printed(tmp_path: Path) -> None:
    """All of it but the build times, which no fake runtime has."""
    sample = re.search(r"<!-- plan -->\n```console\n\$ doit (.*?)\n(.*?)```", README, re.DOTALL)
    assert sample is not None
    corpus = Corpus(tmp_path, host={**HOST, "trt_version": "10.3.0.26", "sm_count": 16})
    assert run("doit", corpus).rc == 0
    printed = doit(tmp_path, *sample[1].split()).stdout
    assert without_durations(printed) == without_durations(sample[2])


def without_durations(text: str) -> list[str]:
    return [" ".join(re.sub(r"LAST BUILD|([\d.]+ (min|s)\b ?)+", "", line).split()) for line in text.splitlines()]
