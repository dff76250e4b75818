"""Many rows in one statement: whatever a row holds comes back as it was, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select

from schemas.lanes import Lane
from tests.integration.store_rig import change, job, job_ids, job_of, wish
from worker.core.chunks import CHUNK_BUDGET
from worker.store import halts, quarantine
from worker.store.among import among
from worker.store.bulk import insert_missing, insert_or_replace, insert_rows, update_rows
from worker.store.engine import Database
from worker.store.gate import look
from worker.store.pauses import pause
from worker.store.tables import attempts, jobs, resources, targets

NOW = datetime(2026, 1, 31, 8, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
CALL: dict[str, Any] = {
    "job_id": 2**62 + 1, "number": 1, "remote": "default", "operation": "update_target", "started_at": NOW,
    "latency_ms": 0.1, "status": None, "outcome": "answered", "message": None, "request_id": "r-1", "worker": "w",
}  # fmt: skip
WORDS = ["", "null", "true", '{"a": [1, "b"]}', "\\u0041 \\", 'it\'s "so"', "\u2028\n\t\x01", "čeština 🎯", "%(a)s :b"]


def resource(name: str, version: int = 0) -> dict[str, Any]:
    return {"name": name, "version": version, "newest_job_id": 0}


def target(name: str, value: float, **said: Any) -> dict[str, Any]:
    fields = ("scorecard_template_name", "criterion_or_chapter_id", "usecase_name", "coaching_plan_name")
    known = dict.fromkeys(fields, "x") | {"qa_score": None, "update_time": None, "known_at": NOW, "job_id": None}
    return {"name": name, "target": value, "uncertain": False} | known | said


def versions(store: Database) -> dict[str, int]:
    with store.read() as session:
        return {row.name: row.version for row in session.execute(select(resources))}


@pytest.mark.parametrize("words", WORDS)
def test_words_come_back_as_they_were_whatever_they_look_like(store: Database, words: str) -> None:
    with store.write() as session:
        insert_rows(session, attempts, [CALL | {"message": words, "worker": words}, CALL | {"message": None}])
    with store.read() as session:
        rows = session.execute(select(attempts.c.message, attempts.c.worker).order_by(attempts.c.id)).all()
    assert rows == [(words, words), (None, "w")]


@pytest.mark.parametrize("number", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 50, 1e22])
def test_numbers_instants_and_truths_come_back_exactly(store: Database, number: float) -> None:
    with store.write() as session:
        insert_or_replace(session, targets, [target("t", number, uncertain=True, update_time=NOW, job_id=2**63 - 1)])
    with store.read() as session:
        row = session.execute(select(targets)).one()
    assert (row.target, row.uncertain, row.job_id, row.qa_score) == (number, True, 2**63 - 1, None)
    assert (row.update_time, row.update_time.tzinfo) == (NOW, UTC)


def test_what_a_row_does_not_name_is_its_columns_default(store: Database) -> None:
    row = {
        "id": 7, "batch_id": 1, "kind": "target_update", "remote": "default", "lane": Lane.BULK, "resource": "r",
        "wish": "{}", "version": 1, "state": "pending", "due_at": NOW, "created_at": NOW,
    }  # fmt: skip
    with store.write() as session:
        insert_rows(session, jobs, [row, row | {"id": 8, "resource": "s"}])
    for id_ in (7, 8):
        one = job(store, id_)
        assert (one.fence, one.attempts, one.forced, one.read_first, one.due_at) == (0, 0, False, False, NOW)


def test_of_two_rows_with_one_key_the_first_is_inserted_and_the_later_replaces(store: Database) -> None:
    with store.write() as session:
        insert_missing(session, resources, [resource("a", 1), resource("a", 2), resource("b", 3)])
        insert_missing(session, resources, [resource("b", 9), resource("c", 4)])
        assert session.execute(select(resources.c.name, resources.c.version).order_by("name")).all() == [
            ("a", 1),
            ("b", 3),
            ("c", 4),
        ]
        insert_or_replace(session, resources, [resource("c", 5), resource("a", 6), resource("c", 7)])
    assert versions(store) == {"a": 6, "b": 3, "c": 7}


def test_an_update_sets_what_its_rows_name_and_nothing_else(store: Database) -> None:
    one, other, untouched = job_ids(store, *(wish(number) for number in range(3)))
    change(store, [one, other, untouched], error="before", failures=3)
    with store.write() as session:
        update_rows(session, jobs, [{"id": one, "error": None}, {"id": other, "error": "b\0"}, {"id": 1, "error": "-"}])
    assert [job(store, id_).error for id_ in (one, other, untouched)] == [None, "b\ufffd", "before"]
    assert {job(store, id_).failures for id_ in (one, other, untouched)} == {3}


@pytest.mark.parametrize("write", [insert_rows, insert_missing, insert_or_replace, update_rows])
def test_no_rows_are_no_statement(store: Database, write: Any) -> None:
    with store.write() as session:
        write(session, resources, [])
    assert versions(store) == {}


@pytest.mark.parametrize("odd", [{"name": "b", "version": 1}, resource("b") | {"more": 1}])
def test_rows_that_name_other_columns_than_the_first_are_a_mistake(store: Database, odd: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="same columns"), store.write() as session:
        insert_rows(session, resources, [resource("a"), odd])
    assert versions(store) == {}


@pytest.mark.parametrize("count", [0, 1, 2_000])
def test_among_is_in_for_any_number_of_values(store: Database, count: int) -> None:
    names = [f"name-{number}" for number in range(count)]
    with store.write() as session:
        insert_missing(session, resources, [resource(name) for name in [*names, "another"]])
        found = session.execute(select(resources.c.name).where(among(session, resources.c.name, names))).scalars()
        assert sorted(found) == sorted(names)
        later = select(resources.c.name).where(among(session, resources.c.name, "names"))
        assert sorted(session.execute(later, {"names": names}).scalars()) == sorted(names)


def shut(store: Database, lane: Lane, remote: str = "default") -> bool:
    with store.read() as session:
        return look(session, remote, lane).shut


def test_the_gate_is_open_unless_the_remote_or_the_lane_has_to_rest_for_longer_than_a_chunk(store: Database) -> None:
    job_of(store, wish(1))
    assert not shut(store, Lane.BULK)
    with store.write() as session:
        pause(session, "default", None, CHUNK_BUDGET / 2)
        pause(session, "default", Lane.BULK, CHUNK_BUDGET * 30)
    assert (shut(store, Lane.BULK), shut(store, Lane.INTERACTIVE), shut(store, Lane.BULK, "other")) == (
        True,
        False,
        False,
    )
    with store.write() as session:
        pause(session, "default", None, CHUNK_BUDGET * 30)
    assert shut(store, Lane.INTERACTIVE)


def test_a_person_or_a_quarantine_shuts_the_gate(store: Database) -> None:
    with store.write() as session:
        halts.halt(session, "default", Lane.BULK, "anna", "maintenance")
        quarantine.put_aside(session, "other", "unauthorized")
    assert (shut(store, Lane.BULK), shut(store, Lane.INTERACTIVE)) == (True, False)
    assert shut(store, Lane.INTERACTIVE, "other")
