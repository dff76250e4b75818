"""What the tests of `coachsync targets apply` share: files of wishes, and the whole program with a standard input."""

import csv
import io
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from sqlmodel import col

from tests.integration.cli_rig import Command, Said
from tests.integration.store_rig import PLAN, TEMPLATE, USECASE, name_of
from worker.cli.main import main
from worker.store.engine import Database
from worker.store.models import Batch

COLUMNS = ("name", "scorecardTemplateName", "usecaseName", "target", "criterionOrChapterId", "coachingPlanName")
LONG = "c" * 128  # makes a row long, so that few rows fill the buffers between two processes


def row(target: object, value: object = 50, template: str = TEMPLATE) -> list[str]:
    return [name_of(target), template, USECASE, str(value), LONG, PLAN]


def text(*rows: Iterable[str], columns: Iterable[str] = COLUMNS) -> str:
    return "".join(",".join(one) + "\n" for one in [columns, *rows])


def file(path: str, *rows: Iterable[str], columns: Iterable[str] = COLUMNS) -> Path:
    there = Path(path)
    there.write_text(text(*rows, columns=columns), encoding="utf-8")
    return there


def many(count: int) -> bytes:
    return text(*map(row, range(count))).encode()


def rejected(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def batches(store: Database) -> list[int]:
    with store.read() as session:
        return list(session.execute(select(col(Batch.id))).scalars())


class Pipe:
    """A standard input; ``then`` is what happens to who reads on after the content."""

    def __init__(self, content: bytes, then: BaseException | None) -> None:
        self._content = io.BytesIO(content)
        self._then = then

    def read(self, size: int = -1, /) -> bytes:
        block = self._content.read(size)
        if not block and self._then:
            raise self._then
        return block


@dataclass(frozen=True, slots=True)
class Program:
    """The whole program, in this process: it turns into an exit code also what its commands raise."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object, stdin: bytes = b"", then: BaseException | None = None) -> Said:
        self.monkeypatch.setattr(sys, "argv", ["coachsync", *map(str, arguments)])
        self.monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(stdin, then)))
        with pytest.raises(SystemExit) as ended:
            main()
        told = self.capsys.readouterr()
        return Said(int(ended.value.code or 0), told.out, told.err)


@contextmanager
def program_like(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Program]:
    """With the settings of ``command``."""
    for name, value in command.environ.items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGPIPE)
    yield Program(monkeypatch, capsys)
    signal.signal(signal.SIGPIPE, before)  # it is the program's to end on, not this process's
