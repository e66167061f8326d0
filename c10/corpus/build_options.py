"""The build options of a ``[[backbones]]`` table → BuildOptions.

The table ``BUILD_OPTIONS`` says what each value may be. What may be combined is checked here as far as it is known
without the network; ``c10.runtimes.options`` says which TensorRT has which option.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from c10.corpus.spec import BUILD_OPTIONS, BuildOptions, Precision
from c10.corpus.toml_table import Problems, Table

#: The precisions that the converter makes of an fp32 network.
CONVERTED_PRECISIONS: Final = ("fp16", "bf16")
OPTION_KEYS: Final = frozenset(row.name for row in BUILD_OPTIONS)
#: Keys that are gone, and what to write instead.
REPLACED_KEYS: Final[Mapping[str, str]] = {
    "strongly_typed": (
        'expected conversion = "always" (strongly typed, c10 converts the network) or conversion = "never" '
        "(strongly typed, the network's own types) in its place, or neither for strongly_typed = false"
    ),
}


def build_options(table: Table, precision: Precision) -> BuildOptions:
    """Return the options of one backbone, which is built in ``precision``; problems are noted in the table."""
    default = BuildOptions()
    if table.has_none_of(OPTION_KEYS):
        return default
    found = {row.name: row.form.read(table, row.name, getattr(default, row.name)) for row in BUILD_OPTIONS}
    options = BuildOptions(**found)
    check_conversion(options, precision, table.at("keep_fp32"), table.problems)
    return options


def check_options(options: BuildOptions, precision: Precision | None, problems: Problems) -> None:
    """Note what is wrong with options given in Python, which no type checker may have seen."""
    before, default = problems.count, BuildOptions()
    for row in BUILD_OPTIONS:
        value = getattr(options, row.name)
        if not row.form.accepts(value) and not (value is None and getattr(default, row.name) is None):
            problems.add(f"options.{row.name}", f"expected {row.form.expected}", repr(value))
    if problems.count == before:
        check_conversion(options, precision, "options.keep_fp32", problems)


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
