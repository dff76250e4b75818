"""The arithmetic of `python -m benchmarks.capacity`, and that the page on scaling shows what it prints."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.capacity import FULL, Costs, Fleet, ceilings, drain, enough_processes, one_process, processes, tables

ROOT = Path(__file__).parents[2]
FAST = Fleet(limit=5_000, latency=0.1, in_flight=500, processes=1)


def test_no_process_is_fuller_than_it_should_be_and_one_less_would_not_do() -> None:
    assert processes(7_000, cpu_ms=1.0) == 10
    assert processes(7_001, cpu_ms=1.0) == 11
    assert processes(0, cpu_ms=1.0) == 1
    assert one_process(cpu_ms=1.0) == 1_000 * FULL


@pytest.mark.parametrize("limit", [5, 20, 100, 1_000, 5_000])
def test_a_process_more_than_enough_gains_nothing_and_one_less_loses(limit: float) -> None:
    fleet = replace(FAST, limit=limit)
    enough = replace(fleet, processes=enough_processes(fleet))
    assert drain(1_000, replace(enough, processes=enough.processes + 1)) == drain(1_000, enough)
    if enough.processes > 1:
        assert drain(1_000, replace(enough, processes=enough.processes - 1)) > drain(1_000, enough)


def test_the_least_bound_is_the_pace() -> None:
    assert drain(1_000_000, replace(FAST, limit=20, processes=4)) == pytest.approx(55_000)
    assert drain(3_200, Fleet(limit=1_000, latency=1.0, in_flight=32, processes=50)) == 100
    assert drain(795 * 60, replace(FAST, processes=1), Costs(worker_crowded=0.88)) == 60


def test_what_there_is_one_of_stands_lowest_first() -> None:
    bounds = ceilings()
    assert list(bounds.values()) == sorted(bounds.values())
    assert bounds["a core of PostgreSQL"] == one_process(Costs().postgres)


def test_the_page_on_scaling_shows_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "explanation" / "scaling.md").read_text()
    assert [table for table in tables() if table not in page] == []
