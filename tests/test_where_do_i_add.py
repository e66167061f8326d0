"""docs/where-do-i-add.md lists the files that name its examples: no more and no fewer."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/where-do-i-add.md").read_text("utf-8")
ANSWERS = {text.partition("\n")[0]: text for text in PAGE.split("\n## ")[1:]}
#: For each question: what names its example in the source, and how many files a change may touch.
SEARCH = {
    "A build option": (r".*\b{}\b.*", 2),
    "A built-in runtime": (r".*(?:\b|_){}(?:\b|_).*", 5),
    "A host fact": (r".*\b{}\b.*", 3),
    "A command": ("{}", 1),  # messages recommend commands: a file adds one if the whole text is its name
}


def names_written(tree: ast.AST) -> Iterator[str]:
    """Yield each text that is no docstring, each field and each keyword argument; to read an attribute is to use it."""
    described = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in described:
            yield node.value
        elif isinstance(node, ast.AnnAssign):
            yield ast.unparse(node.target)
        elif isinstance(node, ast.keyword) and node.arg is not None:
            yield node.arg


def example_of(answer: str) -> str:
    found = re.search(r"^Example: `(.+)`$", answer, re.MULTILINE)
    assert found is not None
    return found[1]


def test_names_are_found_where_they_are_written_and_not_where_they_are_used() -> None:
    source = '''
"""about fact"""
class Facts:
    fact: int = 0
    """The fact."""
def f(host):
    return host.fact
ROWS = ["a fact"]
f(fact=1)
'''
    assert sorted(name for name in names_written(ast.parse(source)) if "fact" in name) == ["a fact", "fact", "fact"]


def test_the_page_answers_every_question() -> None:
    assert list(ANSWERS) == list(SEARCH)


@pytest.mark.parametrize("question", SEARCH)
def test_an_answer_lists_the_files_that_name_its_example(question: str) -> None:
    pattern, most = SEARCH[question]
    example = re.compile(pattern.format(re.escape(example_of(ANSWERS[question]))), re.DOTALL)
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "c10").rglob("*.py")
        if any(map(example.fullmatch, names_written(ast.parse(path.read_text("utf-8")))))
    }
    listed = re.findall(r"^\d+\. `(c10/[\w/]+\.py)`: ", ANSWERS[question], re.MULTILINE)
    assert sorted(listed) == sorted(found)
    assert len(listed) <= most


@pytest.mark.parametrize("question", SEARCH)
def test_what_is_listed_outside_the_package_names_the_example_too(question: str) -> None:
    example, listed = example_of(ANSWERS[question]), re.findall(r"^- `(.+?)`: ", ANSWERS[question], re.MULTILINE)
    assert listed
    assert [name for name in listed if example not in (ROOT / name).read_text("utf-8")] == []
