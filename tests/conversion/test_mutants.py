"""The suite fails on a converter that lacks what the suite is for: each mutant is caught by the check meant for it.

A mutant is a text of the converter in place of another, in this process: a function gets the code that it has in the
changed module, wherever it was imported before.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from c10.conversion.ranges import rounded
from c10.errors import EngineBuildError

from . import test_cases, test_golden
from .case import W, X, case, floats, normal, uniform
from .converting import Precision, converted

Check = Callable[[Path], None]
#: An assertion, `pytest.raises` in vain, an error of c10, and ONNX Runtime's, which share no base of their own.
_CAUGHT: Final = (Exception, pytest.fail.Exception)


@dataclass(frozen=True)
class Edit:
    """In a function of c10.conversion, named from the module on, one text in place of another."""

    function: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A defect, as edits."""

    name: str
    edits: tuple[Edit, ...]


def _mutant(name: str, function: str, old: str, new: str) -> Mutant:
    return Mutant(name, (Edit(function, old, new),))


def plant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the converter the defect until the patches are undone."""
    for edit in mutant.edits:
        module_name, _, name = edit.function.partition(".")
        module = importlib.import_module(f"c10.conversion.{module_name}")
        changed = attrgetter(name)(_changed(module, edit))
        monkeypatch.setattr(attrgetter(name)(module), "__code__", changed.__code__)


def _changed(module: ModuleType, edit: Edit) -> ModuleType:
    """Return a module like this one, but for the text. It is never imported: its functions are taken apart."""
    assert module.__file__ is not None
    text = Path(module.__file__).read_text("utf-8")
    assert text.count(edit.old) == 1, f"{edit.function}: the text to replace stands {text.count(edit.old)} times"
    changed = ModuleType(module.__name__)
    exec(compile(text.replace(edit.old, edit.new), module.__file__, "exec"), vars(changed))  # noqa: S102 - c10's own
    return changed


NAMES_ALONE = _mutant(
    "scopes resolved by name alone",
    "flatten.flatten",
    "    _rename(proto.graph, Names(proto.graph), ChainMap(), set())\n",
    "",
)
ANY_TYPE = _mutant(
    "every type variable admits half", "plan._decide", "wanted in step.signature.admitted[variable]", "wanted"
)
ONE_VARIABLE = _mutant(
    "the values of a node taken for one type",
    "schema.bound_slots",
    "bound.setdefault(variable, [])",
    "bound.setdefault(min(signature.admitted), [])",
)
ATTRIBUTES = Mutant(
    "the type that an attribute says taken for the schema's",
    (
        Edit("plan._decide", "if inputs and fp32", "if fp32"),
        Edit("plan._untouched", 'is not that of its inputs" if of_its_own else ""', '" if False else ""'),
    ),
)
CLIPPED = _mutant(
    "constants clipped at 1e4",
    "rewrite._Rewriting._rounded",
    "rounded(self._model.floats(tensor), ",
    "rounded(self._model.floats(tensor).clip(-1e4, 1e4), ",
)
NO_CHECK = _mutant("the check skipped", "check.problem_of", "return str(error).strip()", 'return ""')
OVERFLOW = _mutant("overflow of constants ignored", "ranges.misfit", "(np.sign(values) != bound)", "False")
UNDERFLOW = _mutant("underflow of constants ignored", "ranges.misfit", "if lost.any() else", "if False else")
TRUNCATED = _mutant("bf16 truncated", "ranges.rounded", "(bits + (0x7FFF + ((bits >> _BF16_BITS) & 1))) >>", "bits >>")
HALF_UP = _mutant("ties of bf16 rounded up", "ranges.rounded", "0x7FFF + ((bits >> _BF16_BITS) & 1)", "0x8000")
NO_TABLE = _mutant("the table of operators ignored", "plan._policy_reason", "    return row.reason", '    return ""')
NO_EXACT_INPUTS = _mutant(
    "exact inputs ignored", "spread._seed_exact", "indices = policy.KEPT[step.operator].exact_inputs", "indices = ()"
)
NO_INTEGERS = _mutant(
    "what becomes an integer ignored",
    "spread._seed_exact",
    "in floats else (0,)",
    "in floats else ()",
)
EXACT_STOPS = _mutant(
    "exact values followed one node", "spread._spread_exact", "exact.setdefault(name, reached)", "pass"
)
UNHELD_STOPS = _mutant(
    "unheld values followed one node",
    "spread._spread_unheld",
    "if reached and _stays_unheld(step, reached, constants) and",
    "if False and",
)
ONE_PASS = _mutant("loops passed once", "spread._until_stable", "while before < len(values):", "if True:")
WIDE_INTEGERS = _mutant(
    "what comes from integers ignored", "origins.unheld_origin", 'in {"Cast", "CastLike"} and types', "in () and types"
)
SQUARES = _mutant(
    "squares ignored", "origins.unheld_origin", "len({roots.get(name, name) for name in step.node.input}) == 1", "False"
)
LONG_SUMS = _mutant("long sums in half", "origins._is_short", "<= policy.SHORT_AXIS", "<= 1 << 40")
NO_TINY = _mutant(
    "small constants that are added ignored",
    "spread._seed_tiny",
    "any(map(constants.is_tiny, step.node.input))",
    "False",
)
TINY_STOPS = _mutant(
    "tiny values followed one node",
    "spread._spread_tiny",
    "for name in step.inputs if step.operator in policy.TINY_FROM_TINY else ():",
    "for name in ():",
)
NO_OFFSETS = _mutant(
    "large constants that are added ignored",
    "spread._seed_offset",
    "any(map(constants.is_offset, step.inputs))",
    "False",
)
NO_COMPARISONS = _mutant(
    "comparisons ignored", "spread._seed_comparison", "any(name in unheld for name in step.inputs)", "False"
)
NO_ACCUMULATORS = _mutant("sums of loops ignored", "spread._seed_accumulators", "if link.target in seen:", "if False:")
BODIES = _mutant(
    "what a body gives back not cast",
    "rewrite._Rewriting.change_outputs",
    "value.name = self._in_fp32(value.name)",
    "pass",
)
OUTPUTS = _mutant(
    "the model's outputs not cast",
    "rewrite._Rewriting.__init__",
    "for name in {value.name for value in self._graph.output} & plan.halved:",
    "for name in ():",
)
IN_PLACE = _mutant(
    "constants rounded where fp32 reads them too",
    "rewrite._Rewriting._rounded",
    "if name in self._wanted_in_fp32:",
    "if False:",
)
OVERRIDABLE = _mutant(
    "initializers that are inputs taken for constants",
    "constants.Constants.__init__",
    "if tensor.name not in replaceable",
    "if True",
)
OLD_INPUTS = _mutant(
    "initializers of IR 3 taken for inputs", "flatten.flatten", "    _make_initializers_constant(proto)\n", ""
)
FUNCTIONS = _mutant("functions left", "flatten.flatten", "if proto.functions:", "if False:")
NODE_NAMES = _mutant("nodes of one name left", "rewrite.rewrite", "    name_nodes_apart(model.proto.graph)\n", "")
OLD_OPSET = _mutant(
    "the operator set left", "opset.raise_opset", 'if opsets_of(model.proto).get("", wanted) >= wanted or', "if True or"
)
SHARE_BY_NUMBER = _mutant(
    "the share by the number of weights", "plan.Plan.weight_share", "prod(self.constants.tensors[name].dims)", "1"
)
SHARE_OF_ANY = _mutant(
    "the share of what is read in half anywhere", "plan.Plan.weight_share", "sum(read) / len(read)", "any(read)"
)

#: What the cases of the other files do not show.
ONLY_HERE: Final = (
    case(
        "mutants/logarithm of a probability",
        """g (float[2,64] x) => (float[2,64] y) {
            p = Softmax (x) c = Clip (p, zero, one) q = Add (c, eps) y = Log (q)}""",
        {"x": uniform(-20, 0, 2, 64)},
        zero=0.0,
        one=1.0,
        eps=1e-10,
    ),
    case(
        "mutants/a fraction beside a large constant",
        "g (float[2,8] x) => (float[2,8] y) {a = MatMul (x, w) b = Add (a, k) y = Sub (b, k)}",
        {"x": X},
        w=W,
        k=4096.0,
    ),
    case(
        "mutants/a loop that leaves the range in its second turn",
        """g (float[2,8] x) => (float[2,8] y) {
            y = Loop (n, yes, x) <body: graph = b (int64 i, bool ci, float[2,8] s) => (bool co, float[2,8] so)
                {r = LeakyRelu (s) so = Mul (r, k) co = Identity (ci)}>}""",
        {"x": X},
        n=3,
        yes=True,
        k=1e5,
    ),
)


def _valid(name: str, _: Path) -> None:
    test_cases.test_valid_with_the_same_inputs_and_outputs(name, "fp16")


def _by_reference(name: str, _: Path) -> None:
    test_cases.test_right_by_reference(name, "fp16")


def _by_onnxruntime(name: str, _: Path) -> None:
    test_cases.test_right_by_onnxruntime(name, "fp16")


def _in_half(name: str, _: Path, precision: Precision = "fp16") -> None:
    test_cases.test_what_fp16_holds_computes_in_half(name, precision)


def _golden(folder: Path) -> None:
    test_golden.test_a_change_of_the_converter_needs_a_new_revision(folder, "fp16")


def _share(expected: float, name: str, _: Path) -> None:
    """A weight counts by its bytes, and in part if it is read in both types."""
    result = converted(test_cases.CASES[name].build(), "fp16")[1]
    assert result.weight_share == expected, "the share is wrong"


def _invalid_is_refused(_: Path) -> None:
    """A conversion that makes a model invalid raises."""
    with pytest.MonkeyPatch.context() as patch:
        plant(OUTPUTS, patch)
        with pytest.raises(EngineBuildError, match="expected c10 to keep a valid model valid"):
            converted(test_cases.CASES["fp16-clip/scale"].build(), "fp16")


def _nearest(_: Path) -> None:
    """A constant becomes the bf16 number that onnx's own rounding makes of it, ties included."""
    ties = ((np.arange(0x3F80, 0x3FC0, dtype=np.uint32) << 16) | 0x8000).view(np.float32)
    for values in (normal(1000), ties, floats([0, -0.0, np.inf, -np.inf, 1e-40, 3e38])):
        tensor = helper.make_tensor("", TensorProto.BFLOAT16, values.shape, values)
        got = (rounded(values, "bf16").astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_array_equal(got, numpy_helper.to_array(tensor).astype(np.float32))


#: Mutant, the check that catches it, and what that check says.
CAUGHT_BY: Final[list[tuple[Mutant, Check, str]]] = [
    (NAMES_ALONE, partial(_by_reference, "loop-shadow/loop_samename"), "expected c10 to keep a valid model valid"),
    (NAMES_ALONE, partial(_in_half, "structure/a name of two types in sibling scopes"), "assert {"),
    (ANY_TYPE, partial(_valid, "constants/dynamic quantization"), "expected c10 to keep a valid model valid"),
    (ONE_VARIABLE, partial(_in_half, "structure/Gather of what was computed"), "its schema has no"),
    (ATTRIBUTES, partial(_valid, "fp16-misc/cos_default"), "expected c10 to keep a valid model valid"),
    (ATTRIBUTES, partial(_valid, "fp16-misc/hann"), "expected c10 to keep a valid model valid"),
    (CLIPPED, partial(_by_reference, "fp16-clip/scale"), "deviates by 0.356"),
    (CLIPPED, partial(_by_reference, "fp16-clip/batchnorm"), r"\[2. 2. 2. 2.\] for \[1. 1. 1. 1.\]"),
    (NO_CHECK, _invalid_is_refused, "DID NOT RAISE"),
    (OVERFLOW, partial(_by_reference, "fp16-clip/divide"), "deviates by"),
    (UNDERFLOW, partial(_by_reference, "exp/log mel floor"), "deviates by inf"),
    (TRUNCATED, _nearest, "Arrays are not equal"),
    (HALF_UP, _nearest, "Arrays are not equal"),
    (NO_TABLE, partial(_by_reference, "norms/standard deviation by ReduceL2"), "deviates by"),
    (NO_EXACT_INPUTS, partial(_by_reference, "positions/RoPE: positions are a constant"), "deviates by"),
    (NO_INTEGERS, partial(_by_reference, "fp16-lengths/frames"), "Arrays are not equal"),
    (EXACT_STOPS, partial(_by_reference, "indices/Gather by Floor"), "deviates by"),
    (UNHELD_STOPS, partial(_by_reference, "norms/layernorm, Pow(c, 2), eps 1e-05"), "deviates by"),
    (UNHELD_STOPS, partial(_by_reference, "exp/softplus"), "deviates by inf"),
    (ONE_PASS, partial(_by_reference, "mutants/a loop that leaves the range in its second turn"), "deviates by inf"),
    (WIDE_INTEGERS, partial(_by_reference, "fp16-misc/bigcast"), "deviates by inf"),
    (SQUARES, partial(_by_reference, "norms/layernorm, Mul(c, c), eps 1e-05"), "deviates by"),
    (LONG_SUMS, partial(_by_reference, "sums/ReduceSum over 100,000"), "deviates by inf"),
    (NO_TINY, partial(_by_reference, "mutants/logarithm of a probability"), "deviates by"),
    (TINY_STOPS, partial(_by_reference, "mutants/logarithm of a probability"), "deviates by"),
    (NO_OFFSETS, partial(_by_reference, "mutants/a fraction beside a large constant"), "deviates by"),
    (NO_COMPARISONS, partial(_by_reference, "indices/mask of a length"), "Arrays are not equal"),
    (NO_ACCUMULATORS, partial(_by_reference, "structure/Loop that counts in float"), "deviates by"),
    (BODIES, partial(_valid, "fp16-misc/if_input"), "expected c10 to keep a valid model valid"),
    (BODIES, partial(_valid, "fp16-misc/loop"), "expected c10 to keep a valid model valid"),
    (OUTPUTS, partial(_valid, "fp16-clip/scale"), "expected c10 to keep a valid model valid"),
    (IN_PLACE, partial(_valid, "structure/an initializer for a half node and one that stays"), "keep a valid model"),
    (OVERRIDABLE, partial(_valid, "structure/initializers that are inputs, fed and not"), "keep a valid model"),
    (OLD_INPUTS, partial(_share, 1.0, "fp16-misc/ir3"), "the share is wrong"),
    (FUNCTIONS, partial(_in_half, "structure/a function used inside a Loop"), "where False = ConversionResult"),
    (NODE_NAMES, partial(_by_onnxruntime, "fp16-misc/dupname_input"), "two nodes with same node name"),
    (OLD_OPSET, partial(_in_half, "opsets/5"), "cannot infer the type of a Cast"),
    (OLD_OPSET, partial(_in_half, "opsets/17", precision="bf16"), "its schema has no"),
    (SHARE_BY_NUMBER, _golden, "the converter changed"),
    (SHARE_OF_ANY, partial(_share, 0.5, "structure/an initializer for a half node and one that stays"), "the share"),
]


def _id(check: Check) -> str:
    if not isinstance(check, partial):
        return check.__name__
    return " ".join([check.func.__name__, *map(str, (*check.args, *check.keywords.values()))])


@pytest.fixture(autouse=True)
def _uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each check convert anew, and know the cases of this file."""
    monkeypatch.setattr(test_cases, "made", test_cases.made.__wrapped__)
    monkeypatch.setattr(test_cases, "CASES", test_cases.CASES | {case.name: case for case in ONLY_HERE})


@pytest.mark.parametrize(("mutant", "check", "says"), CAUGHT_BY, ids=[f"{m.name}: {_id(c)}" for m, c, _ in CAUGHT_BY])
def test_each_mutant_is_caught(
    mutant: Mutant, check: Check, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(mutant, monkeypatch)
    with pytest.raises(_CAUGHT, match=says):
        check(tmp_path)


@pytest.mark.parametrize("check", {_id(check): check for _, check, _ in CAUGHT_BY}.values(), ids=_id)
def test_and_the_same_check_passes_on_the_real_one(check: Check, tmp_path: Path) -> None:
    check(tmp_path)
