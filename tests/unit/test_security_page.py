"""What the page on security says is kept, sent and closed is what the code has."""

import re
from pathlib import Path

from sqlmodel import SQLModel

from worker.app import _SETTINGS
from worker.intake.lines import MAX_LINE_BYTES
from worker.intake.roster_events import MOST_EVENTS
from worker.store import tables
from worker.webhooks.post import KEPT_OF_A_BODY

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "security.md").read_text()
SOURCE = {
    path: path.read_text() for name in ("worker", "api_adapter", "schemas") for path in (ROOT / name).rglob("*.py")
}


def test_of_every_table_it_is_said_what_of_people_is_in_it_and_for_how_long() -> None:
    section = PAGE.partition("## What is kept")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))))
    assert tables.jobs.name in named
    assert named == {table.name for table in SQLModel.metadata.sorted_tables}


def test_the_bounds_that_it_names_are_those_of_the_code() -> None:
    assert f"{MOST_EVENTS:,} events" in PAGE
    assert (MAX_LINE_BYTES, KEPT_OF_A_BODY) == (1 << 20, 1_000)


def test_celery_takes_json_and_nothing_else() -> None:
    assert _SETTINGS["accept_content"] == ["json"]


def test_nothing_reads_what_could_run() -> None:
    dangerous = re.compile(
        r"^\s*(?:import|from) (?:pickle|marshal|shelve|yaml)\b|\b(?:eval|exec)\(|shell=True", re.MULTILINE
    )
    redis_script = re.compile(r"\.eval\(_END_TURN")
    found = {path.name for path, text in SOURCE.items() if dangerous.search(redis_script.sub("", text))}
    assert found == set()


def test_every_module_and_test_that_it_names_is_there() -> None:
    for module in re.findall(r"`((?:worker|api_adapter)\.[a-z_.]+)`", PAGE):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
    for path in re.findall(r"`(tests/[\w/.]+)`", PAGE):
        assert (ROOT / path).exists(), path
