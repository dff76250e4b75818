"""Counts are said as people say them, by the one function that can."""

import re
from pathlib import Path

import pytest

from worker.counts import counted

WORKER = Path(__file__).parents[2] / "worker"
COUNT = re.compile(r"\{([^{}]+):,\} (more |earlier )?(row|agent|event|job|quota|target|request|update|rule)s\b")
ALWAYS_MANY = {"demo.py"}  # its sample has thousands
LIMIT = re.compile(r"MOST_|limit$")


@pytest.mark.parametrize(("number", "said"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (2300, "2,300 rows")])
def test_one_is_singular(number: int, said: str) -> None:
    assert counted(number, "row") == said


def test_more_than_a_noun_may_be_given() -> None:
    assert [counted(number, "row was", "rows were") for number in (1, 2)] == ["1 row was", "2 rows were"]


def test_no_sentence_of_the_program_counts_by_itself() -> None:
    texts = {file: file.read_text() for file in WORKER.rglob("*.py") if file.name not in ALWAYS_MANY}
    found = [
        f"{file.name}: {match[0]}"
        for file, text in texts.items()
        for match in COUNT.finditer(text)
        if not LIMIT.search(match[1])
    ]
    assert found == []
