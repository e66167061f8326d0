"""The import rules that import-linter cannot state: no cycles, who knows doit, and no compiler outside its folder.

The layers of the folders are contracts in pyproject.toml; test_contracts.py runs them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import c10

ROOT = Path(c10.__file__).parent
COMPILERS = {"tensorrt", "tensorrt_rtx"}
ONNX = {"onnx", "numpy"}
#: What runs a network to compare it with another.
EVALUATORS = {"onnxruntime"}

#: Who knows doit. Nothing else does, and nothing else imports one of these.
DOIT_LAYER = {"c10.tasks", "c10.plugin", "c10.image.task", "c10.commands"}
#: What runs in the compiling child.
CHILD = {"c10.runtimes.child"}


@dataclass(frozen=True)
class Import:
    """One module that another imports: when it is loaded, later (lazy), or never, for type checkers alone."""

    module: str
    lazy: bool
    typing: bool


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text("utf-8"))


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    return tuple(_imports(tree_of(module), lazy=False, typing=False))


def _imports(node: ast.AST, *, lazy: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, lazy, typing) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                yield Import(inner if inner in SOURCES else str(child.module), lazy, typing)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for part in child.body:
                yield from _imports(ast.Module([part], []), lazy=inside, typing=True)
            for part in child.orelse:
                yield from _imports(ast.Module([part], []), lazy=inside, typing=typing)
        else:
            yield from _imports(child, lazy=inside, typing=typing)


def own_imports(module: str) -> set[str]:
    """Return the modules of c10 that a module imports, sooner or later."""
    return {i.module for i in imports_of(module) if i.module in SOURCES and not i.typing} - {module}


def is_in(module: str, group: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in group)


def test_the_look_at_imports_sees_each_kind() -> None:
    source = """
import json
if TYPE_CHECKING:
    from c10.corpus.spec import BuildConfig
else:
    import os
def f():
    import onnx
    from c10.console import events
    class Inner:
        from c10.runtimes.child import build
"""
    assert list(_imports(ast.parse(source), lazy=False, typing=False)) == [
        Import("json", lazy=False, typing=False),
        Import("c10.corpus.spec", lazy=False, typing=True),
        Import("os", lazy=False, typing=False),
        Import("onnx", lazy=True, typing=False),
        Import("c10.console.events", lazy=True, typing=False),
        Import("c10.runtimes.child.build", lazy=True, typing=False),
    ]
    assert len(SOURCES) > 40


def test_no_import_cycle_lazy_ones_included() -> None:
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " → ".join([*above[above.index(module) :], module])
        if module not in done:
            for imported in own_imports(module):
                visit(imported, (*above, module))
            done.add(module)

    for module in SOURCES:
        visit(module, ())
    assert done == SOURCES.keys()


@pytest.mark.parametrize("module", SOURCES)
def test_only_the_doit_layer_knows_doit(module: str) -> None:
    if not is_in(module, DOIT_LAYER):
        assert not [i.module for i in imports_of(module) if i.module.partition(".")[0] == "doit"]
        assert not [imported for imported in own_imports(module) if is_in(imported, DOIT_LAYER)]


@pytest.mark.parametrize("module", SOURCES)
def test_only_the_runtime_layer_imports_a_compiler_and_only_lazily(module: str) -> None:
    known = COMPILERS | ONNX | EVALUATORS
    imported = [i for i in imports_of(module) if not i.typing and i.module.partition(".")[0] in known]
    compilers = [i for i in imported if i.module.partition(".")[0] in COMPILERS]
    assert not compilers or is_in(module, CHILD)
    assert not imported or is_in(module, CHILD) or is_in(module, {"c10.conversion", "c10.measurement"})
    evaluators = [i for i in imported if i.module.partition(".")[0] in EVALUATORS]
    assert not evaluators or is_in(module, {"c10.measurement"})
    assert all(i.lazy for i in imported)
    if not is_in(module, CHILD):  # nor by name
        calls = [node for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
        by_name = [call for call in calls if ast.unparse(call.func).endswith(("import_module", "__import__"))]
        assert not by_name or module == "c10"


def test_lower_modules_of_a_folder_do_not_look_up() -> None:
    for lower, higher in {
        "c10.corpus.spec": {"c10.corpus.config", "c10.corpus.target", "c10.host"},
        "c10.files.naming": {"c10.files.publish", "c10.files.sidecar"},
        "c10.files.digest": {"c10.files.sidecar"},
        "c10.proof.record": {"c10.proof.check", "c10.proof.verdict"},
        "c10.proof.check": {"c10.proof.verdict"},
    }.items():
        for module in (name for name in SOURCES if is_in(name, {lower})):
            reached: set[str] = set()
            waiting = [module]
            while waiting:
                waiting += (new := own_imports(waiting.pop()) - reached)
                reached |= new
            assert not [name for name in reached if is_in(name, higher)], module


@pytest.mark.parametrize("module", SOURCES)
def test_each_module_says_what_it_is_for(module: str) -> None:
    assert ast.get_docstring(tree_of(module))


def test_names_of_the_package_are_those_that_type_checkers_see() -> None:
    stub = ast.parse((ROOT / "__init__.pyi").read_text("utf-8"))
    seen: dict[str, set[str]] = {}
    for statement in stub.body:
        assert isinstance(statement, ast.ImportFrom)
        assert all(alias.asname == alias.name for alias in statement.names)  # otherwise it is not handed on
        seen.setdefault(str(statement.module), set()).update(alias.name for alias in statement.names)
    assert seen == {"c10.version": {"__version__"}, **{module: set(names) for module, names in c10._HOMES.items()}}
    assert set(c10.__all__) == {"__version__", *c10._HOME_OF}
    assert dir(c10) == sorted(c10.__all__)


def test_a_users_type_checker_may_import_each_name_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(f"from c10 import {', '.join(c10.__all__)}\n", "utf-8")
    (tmp_path / "typo.py").write_text("import c10\n\nc10.load_engin\n", "utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "user.py", "typo.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    (complaint,) = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert complaint.startswith("typo.py:3: error: ")
    assert 'Module has no attribute "load_engin"' in complaint
    assert done.returncode == 1, done.stdout


@pytest.mark.parametrize("name", sorted(c10.__all__))
def test_each_name_of_the_package_is_there(name: str) -> None:
    value = getattr(c10, name)
    if name in c10._HOME_OF:
        assert value is getattr(import_module(c10._HOME_OF[name]), name)


def test_the_interface_is_complete() -> None:
    fixed = """EngineCompiler EngineCompileRequest EngineCompileResult EngineCompileSummary CompileOutcome BackboneSpec
    BackboneConfig C10ProvisioningConfig HostCapabilities EngineCacheEntry BuildConfig OptimizationProfile
    CompileEngineCallable EngineFilenameSchema Sha256Sidecar C10Error ConfigError EngineBuildError CalibrationCacheError
    VerificationError build_engine_compiler build_backbone_specs"""
    assert set(fixed.split()) <= set(c10.__all__)
    with pytest.raises(AttributeError, match="module 'c10' has no attribute 'nonsense'"):
        c10.nonsense  # noqa: B018


@pytest.mark.parametrize("module", SOURCES)
def test_modules_and_functions_stay_small(module: str) -> None:
    source = SOURCES[module].read_text("utf-8")
    assert len(source.splitlines()) <= 300
    code = [bool(line.strip()) and not line.strip().startswith("#") for line in source.splitlines()]
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = sum(code[body[0].lineno - 1 : node.end_lineno]) if body else 0
            assert lines <= 30, f"{node.name}: {lines} lines"
