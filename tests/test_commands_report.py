"""`doit engines-report`: one page that loads nothing, rendered in a real browser, and JSON beside it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command_corpus import add_jetson_engines, cold_corpus, command, untouched, warm_corpus
from harness import flip_byte
from pem_keys import make_keys

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
DARK = "--blink-settings=preferredColorScheme=0"
HOSTILE = '<img src=x onerror=alert(1)>"&\x1b[31m.txt'

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium here: apt-get install chromium")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A warm corpus with engines of a Jetson, one of them damaged, and a file with a hostile name."""
    folder = warm_corpus(tmp_path / "checkout")
    flip_byte(add_jetson_engines(folder, "left_eye", "dinov2_vpr")[0])
    (folder / "engines" / HOSTILE).write_text("")
    return folder


class _Page(HTMLParser):
    """What a page is made of: its elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "wbr"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def report(folder: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    command(folder, "engines-report", *arguments)
    document = json.loads((folder / "engines-report.json").read_text("utf-8"))
    return (folder / "engines-report.html").read_text("utf-8"), document


def test_page_and_json_say_the_same(folder: Path) -> None:
    before = {name: value for name, value in untouched(folder).items() if name.startswith("engines/")}
    text, document = report(folder)
    page = _Page(text)
    assert document["summary"]["states"] == {"damaged": 1, "intact": 3}
    assert document["summary"]["to_build"] == 0
    for found in document["engines"]:
        assert found["engine"] in page.text
    assert "1 engine needs attention" in page.text
    assert "digest_mismatch" in page.text
    bars = [attributes["style"] for tag, attributes in page.elements if tag == "i"]
    assert len([bar for bar in bars if bar == "width:100.0%"]) >= 4  # the largest and the longest, of engines and hosts
    assert {n: v for n, v in untouched(folder).items() if n.startswith("engines/")} == before


def test_every_word_is_escaped_and_nothing_is_loaded(folder: Path) -> None:
    text, _ = report(folder)
    page = _Page(text)
    assert "<img src=x onerror=alert(1)>" in page.text
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"img", "script", "iframe", "object", "embed", "form", "a", "base"})
    links = [attributes["href"] for tag, attributes in page.elements if tag == "link"]
    assert links == ["data:,"]
    assert re.findall(r"(?i)url\(|@import|https?:|\bsrc=(?!x onerror)", text) == []
    assert "\x1b" not in text
    assert "default-src 'none'" in text


def test_stale_and_missing_engines_are_told(folder: Path) -> None:
    (folder / "models" / "left_eye.onnx").write_bytes(b"\x08\x08")
    for path in (folder / "engines").glob("right_eye*"):
        path.unlink()
    page = _Page(report(folder)[0])
    assert "3 engines need attention" in page.text
    assert "ONNX changed" in page.text
    assert {"stale", "missing", "damaged"} <= set(re.findall(r"[a-z]+", page.text))


def test_what_cannot_be_built_is_told_apart(folder: Path) -> None:
    for path in (folder / "models").iterdir():
        path.unlink()
    for path in (folder / "engines").glob("right_eye*"):
        path.unlink()
    text, document = report(folder)
    assert (document["summary"]["to_build"], document["summary"]["blocked"]) == (0, 2)
    assert "Put the file there, readable." in _Page(text).text
    chips = set(re.findall(r'class="chip [a-z]*">([a-z]+)<', text))
    assert chips == {"blocked", "damaged", "intact", "foreign"}
    assert ", 2 blocked here\n" in command(folder, "engines-report").stdout


def test_cold_corpora_and_caches_without_corpus(tmp_path: Path, folder: Path) -> None:
    cold = cold_corpus(tmp_path / "cold")
    assert "engines-report.html: 0 engines, 0.0 MB, 2 to build here" in command(cold, "engines-report").stdout
    assert "No engine yet" in _Page((cold / "engines-report.html").read_text("utf-8")).text
    (folder / "backbones.toml").unlink()
    text, document = report(folder)
    assert (document["corpus"], document["host"], document["summary"]["to_build"]) == (None, None, None)
    assert "Needed here" not in text
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "expected a directory of engines" in command(empty, "engines-report", rc=3).stderr
    assert list(empty.iterdir()) == []


def test_it_is_written_where_asked_or_not_at_all(folder: Path) -> None:
    command(folder, "engines-report", "-o", "out/page.html")
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["page.html", "page.json"]
    assert "ends in .html" in command(folder, "engines-report", "-o", "page.json", rc=3).stderr
    (folder / "file").write_text("")
    stderr = command(folder, "engines-report", "-o", "file/page.html", rc=3).stderr
    assert "Write it elsewhere: doit engines-report --output FILE" in stderr


def browse(page: Path, *flags: str) -> None:
    assert BROWSER is not None
    profile = page.parent / f"profile-{len(list(page.parent.glob('profile-*')))}"
    subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip


def requests_of(page: Path) -> list[str]:
    """Return the URLs that the page itself asked for; the browser's own requests are of no page."""
    log = page.parent / "net.json"
    browse(page, f"--log-net-log={log}", f"--screenshot={page.parent / 'net.png'}")
    events = json.loads(log.read_text("utf-8"))["events"]
    asked = [event.get("params", {}) for event in events]
    of_page = [p for p in asked if str(p.get("network_isolation_key", "")).startswith("file://") and "url" in p]
    return [p["url"] for p in of_page]


def background(png: Path) -> tuple[int, ...]:
    """Return the colour of an image's first pixel; a PNG's filters leave that one as it is."""
    content, data, position = png.read_bytes(), b"", 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        if content[position + 4 : position + 8] == b"IDAT":
            data += content[position + 8 : position + 8 + length]
        position += length + 12
    return tuple(zlib.decompress(data)[1:4])


@needs_browser
def test_a_browser_renders_it_light_dark_and_on_paper(folder: Path) -> None:
    report(folder)
    page = folder / "engines-report.html"
    browse(page, "--window-size=1200,1600", f"--screenshot={folder / 'light.png'}")
    browse(page, "--window-size=1200,1600", DARK, f"--screenshot={folder / 'dark.png'}")
    browse(page, f"--print-to-pdf={folder / 'print.pdf'}")
    assert background(folder / "light.png") == (0xFB, 0xFA, 0xF7)
    assert background(folder / "dark.png") == (0x14, 0x17, 0x1A)
    assert (folder / "print.pdf").read_bytes().startswith(b"%PDF")


@needs_browser
def test_a_browser_is_asked_to_load_nothing(folder: Path) -> None:
    text, _ = report(folder)
    page = folder / "engines-report.html"
    assert requests_of(page) == []
    image = '<img src="http://127.0.0.1:9/spy.png">'
    page.write_text(text.replace("</main>", f"{image}</main>"), "utf-8")
    assert requests_of(page) == []  # the page's own policy forbids it
    without_policy = re.sub(r"<meta http-equiv=.*>", "", page.read_text("utf-8"))
    page.write_text(without_policy, "utf-8")
    assert requests_of(page) == ["http://127.0.0.1:9/spy.png"]  # and this test would see it


def test_an_engine_that_is_not_signed_as_asked_is_told(folder: Path) -> None:
    public = make_keys(folder, "trusted").public
    config = folder / "backbones.toml"
    config.write_text(f'{config.read_text()}[signing]\nrequire_signature = true\ntrusted_keys = ["{public.name}"]\n')
    text, document = report(folder)
    assert {wanted["reason"] for wanted in document["corpus"]} == {"signature_missing"}
    assert document["summary"]["states"] == {"damaged": 1, "untrusted": 3}, "of other hosts, too"
    assert "untrusted" in _Page(text).text
    command(folder, "engines-verify", "--corpus", "backbones.toml", rc=1)


def test_the_key_of_the_environment_is_part_of_the_policy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("C10_SIGNING_KEY", str(make_keys(folder, "own").private))
    assert report(folder)[1]["summary"]["states"] == {"damaged": 1, "untrusted": 3}
