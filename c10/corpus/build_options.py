"""The build options of a ``[[backbones]]`` table → BuildOptions.

What may be combined is checked here as far as it is known without the network; which TensorRT has which option
stands in ``c10.runtimes.options``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from c10.corpus.spec import BuildOptions, Precision
from c10.corpus.toml_table import Problems, Table

CONVERSIONS: Final = ("auto", "always", "never")
#: The precisions that the converter makes of an fp32 network.
CONVERTED_PRECISIONS: Final = ("fp16", "bf16")
OPTION_KEYS: Final = frozenset(option.name for option in fields(BuildOptions))
#: Keys that are gone, and what to write instead.
REPLACED_KEYS: Final[Mapping[str, str]] = {
    "strongly_typed": (
        'expected conversion = "always" (strongly typed, c10 converts the network) or conversion = "never" '
        "(strongly typed, the network's own types) in its place, or neither for strongly_typed = false"
    ),
}
_HARDWARE_COMPATIBILITY: Final = ("none", "ampere_plus", "same_compute_capability")


def build_options(table: Table, precision: Precision) -> BuildOptions:
    """Return the options of one backbone, which is built in ``precision``; problems are noted in the table."""
    default = BuildOptions()
    if table.has_none_of(OPTION_KEYS):
        return default
    options = BuildOptions(
        conversion=table.choice("conversion", CONVERSIONS, default.conversion),
        keep_fp32=table.texts("keep_fp32"),
        builder_optimization_level=table.integer(
            "builder_optimization_level", 0, 5, default.builder_optimization_level
        ),
        hardware_compatibility=table.choice(
            "hardware_compatibility", _HARDWARE_COMPATIBILITY, default.hardware_compatibility
        ),
        version_compatible=table.flag("version_compatible", default.version_compatible),
        dla_core=table.integer("dla_core", 0, 15, None),
        gpu_fallback=table.flag("gpu_fallback", default.gpu_fallback),
        sparse_weights=table.flag("sparse_weights", default.sparse_weights),
        tf32=table.flag("tf32", default.tf32),
        compute_capabilities=_compute_capabilities(table),
        calibration_cache=table.path("calibration_cache", None),
        plugins=table.paths("plugins"),
        timing_cache=table.flag("timing_cache", default.timing_cache),
        timeout_s=table.positive("timeout_s", None),
    )
    check_conversion(options, precision, table.at("keep_fp32"), table.problems)
    return options


def check_conversion(options: BuildOptions, precision: Precision | None, where: str, problems: Problems) -> None:
    """Note what is wrong with ``keep_fp32``; ``precision`` is None where the backbone does not know it yet."""
    kept = options.keep_fp32
    if not kept:
        return
    if len(set(kept)) < len(kept):
        problems.add(where, "expected different operator types or name patterns", repr(list(kept)))
    if options.conversion == "never":
        expected = 'expected no keep_fp32 with conversion = "never", which converts nothing (remove one of them)'
        problems.add(where, expected, repr(list(kept)))
    elif precision is not None and precision not in CONVERTED_PRECISIONS:
        converted = " or ".join(CONVERTED_PRECISIONS)
        expected = f"expected no keep_fp32 with precision {precision}, to which nothing is converted"
        problems.add(where, f"{expected} (remove it, or use {converted})", repr(list(kept)))


def _compute_capabilities(table: Table) -> tuple[str, ...]:
    found = table.texts("compute_capabilities")
    wrong = [sm for sm in found if not (sm.isascii() and sm.isdecimal())]
    if wrong or len(set(found)) < len(found):
        table.problems.add(
            table.at("compute_capabilities"),
            'expected different ones such as ["75", "89"]',
            repr(list(found)),
        )
        return ()
    return tuple(sorted(found, key=int))
