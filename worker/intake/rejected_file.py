"""The file of rejected rows: beside the file of wishes, there only if something was rejected, whole or not at all.

It grows under another name (``….PID.partial``) and takes its own at the end. A run that dies leaves the partial file.
"""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from worker.intake.printable import printable
from worker.intake.readers import BadRow
from worker.intake.source import FileRefused, FileSource, Source

COLUMNS = ("line", "row", "field", "reason", "value", "raw")
_REMEDY = "put the file of wishes where you may write"
_FORMULA_STARTS = ("=", "+", "-", "@")
_MAX_CELL = 2000


def rejected_path(source: Source, directory: Path) -> Path:
    """Beside the source's file; in ``directory`` for what has no place of its own: the standard input, a pipe.

    Ask with the source as it was given, not with its spooled copy.
    """
    if isinstance(source, FileSource) and source.rereadable:
        return source.path.with_name(f"{source.path.name}.rejected.csv")
    return directory / f"{Path(source.name).name}.rejected.csv"


class RejectedRows(Protocol):
    """Where rejected rows go, one after the other, within a context."""

    def write(self, rejected: BadRow) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class RejectedFile:
    """One line for each error of a rejected row. Use as a context: its end without an exception publishes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        self._file: TextIO | None = None

    def check_writable(self) -> None:
        """Raise ``FileRefused`` now rather than at the first rejected row, when others are already accepted."""
        with self._refused_if_unwritable():
            if self.path.is_dir():
                raise FileRefused(f"{self.path}: is a directory; the rejected rows would go to a file of this name")
            self._partial.open("w").close()
            self._partial.unlink()

    def write(self, rejected: BadRow) -> None:
        with self._refused_if_unwritable():
            writer = csv.writer(self._opened(), lineterminator="\n")
            for error in rejected.errors:
                free = (harmless(text) for text in (error.field, error.reason, error.value, rejected.raw))
                writer.writerow((rejected.line, rejected.row, *free))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        with self._refused_if_unwritable(), self._file as file:
            file.flush()
            os.fsync(file.fileno())
        if kind is None:
            with self._refused_if_unwritable():
                self._partial.replace(self.path)

    def _opened(self) -> TextIO:
        if self._file is None:
            self._file = self._partial.open("w", encoding="utf-8", newline="")
            csv.writer(self._file, lineterminator="\n").writerow(COLUMNS)
        return self._file

    @contextmanager
    def _refused_if_unwritable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            why = error.strerror or str(error)
            raise FileRefused(f"{self.path}: the rejected rows cannot be written: {why}; {_REMEDY}") from error


def harmless(text: str) -> str:
    """A spreadsheet takes a cell that begins like a formula for one; an apostrophe makes it text."""
    shown = printable(text, _MAX_CELL)
    return f"'{shown}" if shown.startswith(_FORMULA_STARTS) else shown
