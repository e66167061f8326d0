"""Draws running builds on a terminal.

Each build has one line: its name, its phase, a bar if its duration can be estimated, and the elapsed time. Lines that
stay are printed above.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any, Final, cast

from c10.console.output import Output
from c10.console.progress import ProgressChannel
from c10.console.watch import BuildWatch, RunningBuild

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_BAR_WIDTH: Final = 24  # columns
_NARROW: Final = 60  # columns; on a narrower terminal the bar is left out, so that names are not cut
_WIDE: Final = 100  # columns; on a wider line the bar would be too far from its name
_ECHO: Final = 2  # columns kept free for the ^C that the terminal echoes after the last line
_REFRESH_HZ: Final = 10
_COLOURS: Final = {"BUILT ": "32", "REUSED": "2", "FAILED": "1;31"}  # SGR: green, faint, bold red


class LiveDisplay:
    """Draws with rich from the first build on. Before it, and in a warm run, it only writes lines."""

    def __init__(self, output: Output, channel: ProgressChannel) -> None:
        self._output = output
        self._live: Live | None = None
        self._builds: list[RunningBuild] = []
        self._watch = BuildWatch(channel, self._update)

    def write(self, text: str) -> None:
        """Print text that stays, above what is drawn."""
        if self._live is None:
            self._output.write(coloured(text))
            return
        from rich.text import Text

        self._live.console.print(Text.from_ansi(coloured(text.removesuffix("\n"))), soft_wrap=True)

    def building(self, model_name: str, estimate_s: float | None) -> None:
        """Draw a build until it ends."""
        if self._live is None:
            self._live = self._start()
        self._watch.add(RunningBuild(model_name, estimate_s))

    def close(self) -> None:
        """Remove what is drawn, and stop the thread."""
        self._watch.close()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _start(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        console = Console(file=cast("IO[str]", self._output), highlight=False, markup=False, emoji=False)
        live = Live(
            console=console,
            get_renderable=self._draw,
            refresh_per_second=_REFRESH_HZ,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start()
        return live

    def _update(self, builds: list[RunningBuild]) -> None:
        self._builds = builds

    def _draw(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        width = self._live.console.width if self._live else _NARROW
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(no_wrap=True, width=_BAR_WIDTH if width >= _NARROW else 0)
        table.add_column(no_wrap=True, justify="right")
        table.width = min(width - _ECHO, _WIDE)
        for build in self._builds:
            bar: Any = ""
            if build.estimate_s and width >= _NARROW:
                # Never full, because the estimate may be too short.
                bar = ProgressBar(total=build.estimate_s, completed=min(build.elapsed_s, 0.99 * build.estimate_s))
            table.add_row(build.model_name, build.describe(), bar, _clock(build))
        return table


def _clock(build: RunningBuild) -> str:
    elapsed = f"{build.elapsed_s:.0f} s"
    return f"{elapsed} of about {build.estimate_s:.0f} s" if build.estimate_s else elapsed


def coloured(text: str) -> str:
    """Return a line with its first word in colour, unless NO_COLOR is set (no-color.org)."""
    colour = _COLOURS.get(text[:6])
    if colour is None or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{colour}m{text[:6]}\x1b[0m{text[6:]}"
