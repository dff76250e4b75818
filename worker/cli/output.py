"""What commands print: tables for people, JSON for programs, errors on stderr in one line. Nothing else prints."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.telling.cells import cell, heading, plain, printable

_WIDE = 10_000  # where nobody's terminal sets the width: one row, one line, for grep and cut


class ExitCode(IntEnum):
    DONE = 0
    SOME_FAILED = 1
    REFUSED = 2  # bad input or usage, nothing written
    GUARDED = 3  # more would change than the guard allows: nothing written, a person is asked
    TIMED_OUT = 4
    INTERRUPTED = 130


def _console() -> Console:
    terminal = sys.stdout.isatty()
    return Console(highlight=False, soft_wrap=not terminal, width=None if terminal else _WIDE)


@dataclass(frozen=True)
class Output:
    """One place to print to. ``as_json`` turns tables and records into JSON on stdout; ``failing`` is how it fails."""

    as_json: bool = False
    failing: ExitCode = ExitCode.REFUSED
    out: Console = field(default_factory=_console)
    err: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))

    def table(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
        """Rows by column name. As JSON: an array of objects with all that the rows hold."""
        rows = list(rows)
        if self.as_json:
            self.json(rows)
        elif rows:
            self.out.print(_table(columns, rows))
        else:
            self.note(empty)

    def record(self, values: Mapping[str, Any]) -> None:
        """One thing, a line a field."""
        if self.as_json:
            self.json(values)
            return
        grid = Table.grid(padding=(0, 2))
        for name, value in values.items():
            grid.add_row(Text(heading(name), style="bold"), Text(cell(value), overflow="fold"))
        self.out.print(grid)

    def json(self, value: Any) -> None:
        sys.stdout.write(json.dumps(value, default=plain, ensure_ascii=False, indent=2) + "\n")

    def say(self, sentence: str) -> None:
        """For people only: silent under ``--json``."""
        if not self.as_json:
            self.out.print(Text(printable(sentence)))

    def note(self, sentence: str) -> None:
        """Beside the result, so on stderr."""
        self.err.print(Text(printable(sentence), style="dim"))

    def fail(self, message: str, code: ExitCode | None = None) -> NoReturn:
        """End the command with its reason, one line."""
        self.err.print(Text.assemble(("error: ", "bold red"), printable(message)))
        raise typer.Exit(self.failing if code is None else code)


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        number = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(heading(name), justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(row.get(name))) for name in columns))
    return table
