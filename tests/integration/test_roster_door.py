"""The roster's door: each event once, all of a submission or nothing, and nothing past the guard."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.instants import format_instant
from tests.integration.cli_rig import command_on
from tests.integration.roster_rig import (
    NARROW,
    PROFILE,
    agent,
    approval,
    aside,
    count,
    events_of,
    rows,
    states,
    submit,
    there,
    told,
    told_all,
)
from worker.clock import utc_now
from worker.configuration.settings import load_settings
from worker.core.guard import GuardTripped
from worker.intake.roster_delivery import Door, Entry, deliver
from worker.intake.roster_events import EventsRefused, Submission, foresee, reject_held, release_held
from worker.producer import submit_roster_events
from worker.runtime import Runtime
from worker.store import approvals
from worker.store.engine import Database
from worker.store.oversight_models import Approval

CENTRE = tuple(f"a{number:02}" for number in range(20))
DOOR = Door("stream", "a test's stream")


@pytest.fixture
def make_runtime(store: Database, tmp_path: Path) -> Iterator[Callable[..., Runtime]]:
    made: list[Runtime] = []

    def make(toml: str = "") -> Runtime:
        (tmp_path / "coachsync.toml").write_text(toml)
        environ = command_on(store, tmp_path).environ
        made.append(Runtime(load_settings(environ, cwd=tmp_path)))
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()


def _centre(store: Database) -> None:
    submit(store, [told_all(CENTRE, 0)])


def _leave(*numbers: int, at: float = 1) -> list[dict[str, Any]]:
    return [told("left", CENTRE[number], at) for number in numbers]


def _deliver(store: Database, *given: dict[str, Any]) -> None:
    deliver(store, [Entry(one["id"], json.dumps(one)) for one in given], DOOR, NARROW)


def _decide(store: Database, approval_id: int, *, approved: bool) -> int:
    with store.write() as session:
        approvals.decide(session, approval_id, approved=approved, by="a person")
        return (release_held if approved else reject_held)(session, approval_id)


def _by(how_many: int, work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(how_many) as threads:
        return list(threads.map(work, range(how_many)))


# Once


def test_an_event_that_is_told_again_is_a_duplicate(store: Database) -> None:
    joined = told("joined", "ann")
    first = submit(store, [joined, joined])
    again = submit(store, [joined, told("moved", "ann", 1, groups=["night"])])
    assert (first.accepted, first.duplicates) == (1, 1)
    assert (again.accepted, again.duplicates) == (1, 1)
    assert len(rows(store)) == 2


def test_the_same_events_told_by_eight_at_once_are_taken_once(store: Database) -> None:
    told_by_all = [told("joined", f"b{number}") for number in range(60)]
    receipts = _by(8, lambda turn: submit(store, told_by_all[turn * 7 :] + told_by_all[: turn * 7]))
    assert sum(receipt.accepted for receipt in receipts) == 60
    assert sum(receipt.duplicates for receipt in receipts) == 7 * 60
    assert Counter(row.event_id for row in rows(store)) == Counter(one["id"] for one in told_by_all)


def test_what_several_tell_at_once_of_somebody_who_was_not_known_is_all_kept(store: Database) -> None:
    plan, voice = f"{PROFILE}/coachingPlans/p", f"{PROFILE}/usecases/voice"
    said: list[dict[str, Any]] = [
        {"groups": ["night"]}, {"usecases": [voice]}, {"coachingPlanName": plan}, {"joinedAt": "2025-01-01T00:00:00Z"},
    ]  # fmt: skip
    _by(4, lambda turn: submit(store, [told("changed", f"n{number}", turn, **said[turn]) for number in range(25)]))
    submit(store, [told("joined", f"n{number}", -1) for number in range(25)])
    for number in range(25):
        known = agent(store, f"n{number}")
        assert known
        assert all(word in known.record for word in ("night", voice, plan, "2025-01-01"))


# Whole


@pytest.mark.parametrize(
    ("wrong", "field", "reason"),
    [
        (told("joined", "bad") | {"time": "yesterday"}, "time", "RFC 3339"),
        (told("joined", "bad", groups="tier-1"), "data.groups", "array"),
        (told("joined", "bad", team="x"), "data.team", "unknown field"),
        (told("joined", "bad") | {"type": "coaching.roster.agent.gone"}, "type", "must be one of"),
        (told("joined", "bad") | {"time": "2999-01-01T00:00:00Z"}, "time", "future"),
        ("joined", "", "one JSON object"),
    ],
)
def test_one_bad_event_refuses_the_whole_submission_by_index_field_and_reason(
    store: Database, make_runtime: Callable[..., Runtime], wrong: Any, field: str, reason: str
) -> None:
    with pytest.raises(EventsRefused) as refused:
        submit_roster_events([told("joined", "ann"), wrong, told("joined", "bob")], runtime=make_runtime())
    (error,) = refused.value.errors
    assert (error.index, error.field) == (1, field)
    assert reason in error.reason
    assert str(refused.value).startswith("events[1]: ")
    assert rows(store) == []


def test_all_that_is_wrong_is_told_at_once(store: Database, make_runtime: Callable[..., Runtime]) -> None:
    wrong = [told("joined", "a b"), told("joined", "ann"), {"specversion": "1.0"}, told("moved", "ann", groups=None)]
    with pytest.raises(EventsRefused) as refused:
        submit_roster_events(wrong, runtime=make_runtime())
    assert [(error.index, error.field) for error in refused.value.errors] == [
        (0, "data.agent"), (2, "type"), (3, "data.groups"),
    ]  # fmt: skip
    assert "and 2 more" in str(refused.value)
    assert rows(store) == []


def test_a_clock_that_is_a_little_ahead_is_no_mistake(store: Database) -> None:
    submit(store, [told("joined", "ann") | {"time": format_instant(utc_now() + timedelta(minutes=4))}])
    assert there(store) == {"ann"}


def test_more_than_a_hundred_thousand_at_once_are_refused_unread(make_runtime: Callable[..., Runtime]) -> None:
    one = events_of([told("joined", "ann")])[0]
    with pytest.raises(EventsRefused, match="at most 100,000"):
        submit_roster_events((one for _ in iter(int, 1)), runtime=make_runtime())


def test_a_producer_says_who_came_and_went(store: Database, make_runtime: Callable[..., Runtime]) -> None:
    receipt = submit_roster_events(
        [
            told("joined", "ann"),
            told("joined", "bob"),
            *events_of([told("moved", "ann", 1, groups=["x"])]),
            told("left", "bob", 2),
        ],
        runtime=make_runtime(),
    )
    assert receipt.changes == {"joined": 2, "moved": 1, "left": 1}
    assert receipt.outcomes == {"applied": 4}
    assert [row.door for row in rows(store)] == ["python"] * 4


# A whole roster


def test_a_whole_roster_is_kept_with_what_it_stands_for(store: Database) -> None:
    submit(store, [told("joined", "ann"), told("joined", "bob")])
    receipt = submit(store, [told_all(["ann", "cid"], 1, id_="night")])
    assert receipt.changes == {"joined": 1, "left": 1}
    assert [(row.event_id, row.type.rpartition(".")[2], row.agent) for row in rows(store)[2:]] == [
        ("night", "snapshot", ""), ("night/cid", "joined", "cid"), ("night/bob", "left", "bob"),
    ]  # fmt: skip
    assert there(store) == {"ann", "cid"}


def test_the_same_roster_again_changes_nothing(store: Database) -> None:
    _centre(store)
    receipt = submit(store, [told_all(CENTRE, 24)])
    assert (receipt.accepted, receipt.changes, receipt.outcomes) == (1, {}, {})


def test_of_the_first_roster_nobody_knows_when_they_joined_whoever_told_of_others_before(store: Database) -> None:
    submit(store, [told("joined", "ann", 0)])
    submit(store, [told_all(["ann", "bob"], 5)])
    submit(store, [told_all(["ann", "bob", "cid"], 9)])
    records = {name: getattr(agent(store, name), "record", "") for name in ("ann", "bob", "cid")}
    assert '"joinedAt":"2026-01-01T00:00:00Z"' in records["ann"]
    assert '"joinedAt":null' in records["bob"]
    assert '"joinedAt":"2026-01-01T09:00:00Z"' in records["cid"]


def test_names_of_any_length_make_ids_that_can_be_kept(store: Database) -> None:
    names = [f"{number}{'x' * 490}" for number in range(2)]
    submit(store, [told_all(names, id_="i" * 255)])
    assert there(store) == set(names)
    assert len({row.event_id for row in rows(store)}) == 3


def test_a_source_that_names_its_events_as_a_snapshot_s_are_named_is_heard(store: Database) -> None:
    submit(store, [told("joined", "bob", id_="night/ann")])
    submit(store, [told_all(["ann", "bob"], 1, id_="night")])
    assert there(store) == {"ann", "bob"}


# The guard


def test_what_the_guard_stops_writes_nothing_but_the_question(store: Database) -> None:
    _centre(store)
    before = len(rows(store))
    with pytest.raises(GuardTripped) as tripped:
        submit(store, [told_all([], 1)], NARROW)
    assert len(rows(store)) == before
    assert there(store) == set(CENTRE)
    asked = approval(store, tripped.value.approval_id)
    assert "20 of 20 agents would leave" in asked.reason
    assert asked.state == "waiting"


def test_who_asks_again_meanwhile_asks_the_same_and_is_let_in_once_it_is_approved(store: Database) -> None:
    _centre(store)
    half = _leave(*range(10))
    for _ in range(2):
        with pytest.raises(GuardTripped):
            submit(store, half, NARROW)
    assert count(store, Approval) == 1
    assert _decide(store, 1, approved=True) == 0
    assert submit(store, list(reversed(half)), NARROW).changes == {"left": 10}


def test_who_knows_of_it_is_let_in_at_once(store: Database) -> None:
    _centre(store)
    assert submit(store, _leave(*range(10)), NARROW, approve=True).changes == {"left": 10}
    assert count(store, Approval) == 0


def test_removals_that_come_at_once_are_weighed_together(store: Database) -> None:
    _centre(store)

    def leave(turn: int) -> bool:
        try:
            submit(store, _leave(*range(turn * 3, turn * 3 + 3)), NARROW)
        except GuardTripped:
            return False
        return True

    assert sum(_by(4, leave)) == 1
    assert len(there(store)) == 17


def test_what_would_happen_can_be_asked_and_writes_nothing(store: Database) -> None:
    _centre(store)
    before = len(rows(store))
    few = foresee(store, Submission(events_of(_leave(1)), "test", "x"), NARROW)
    many = foresee(store, Submission(events_of([told_all(CENTRE[:5], 1)]), "test", "x"), NARROW)
    assert (few[0].changes, few[1]) == ({"left": 1}, "")
    assert many[0].changes == {"left": 15}
    assert "15 of 20 agents would leave" in many[1]
    assert (len(rows(store)), count(store, Approval)) == (before, 0)


# Where nobody waits for an answer


def test_what_is_held_changes_nothing_until_a_person_says_yes(store: Database) -> None:
    _centre(store)
    _deliver(store, *_leave(*range(10)))
    assert states(store)["held"] == 10
    assert there(store) == set(CENTRE)
    assert _decide(store, 1, approved=True) == 10
    assert states(store).get("held") is None
    assert there(store) == set(CENTRE[10:])
    released = [row for row in rows(store) if row.door == "stream"]
    assert {(row.state, row.outcome, row.guarded) for row in released} == {("waiting", "applied", False)}
    assert all(row.before and row.after is None for row in released)


def test_what_a_person_says_no_to_changes_nothing_ever(store: Database) -> None:
    _centre(store)
    half = _leave(*range(10))
    _deliver(store, *half)
    assert _decide(store, 1, approved=False) == 10
    _deliver(store, *half)
    assert states(store)["rejected"] == 10
    assert there(store) == set(CENTRE)


def test_a_storm_that_is_held_is_one_question_that_says_how_much_is_held(store: Database) -> None:
    _centre(store)
    for start in (0, 5, 10):
        _deliver(store, *_leave(*range(start, start + 5)))
    assert count(store, Approval) == 1
    assert "15 events are held" in approval(store, 1).reason
    assert _decide(store, 1, approved=True) == 15
    _deliver(store, *_leave(15, 16, 17))
    assert count(store, Approval) == 2, "what comes after the answer is a new question"


def test_a_held_roster_becomes_its_events_once_it_is_released(store: Database) -> None:
    _centre(store)
    _deliver(store, told_all(CENTRE[:5], 1, id_="cut"))
    assert states(store)["held"] == 1
    submit(store, [told("left", CENTRE[0], 2)])
    _decide(store, 1, approved=True)
    assert there(store) == set(CENTRE[1:5])
    assert sum(row.event_id.startswith("cut/") for row in rows(store)) == 15
    assert {row.approval_id for row in rows(store) if row.event_id.startswith("cut")} == {1}


def test_what_is_held_is_not_told_as_new_again(store: Database) -> None:
    _centre(store)
    half = _leave(*range(10))
    _deliver(store, *half)
    _deliver(store, *half)
    assert states(store)["held"] == 10


def test_what_is_no_event_is_set_aside_once_beside_what_is_taken(store: Database) -> None:
    entries = [
        Entry("1", b'{"specversion": "1.0"}'),
        Entry("2", b"\xff"),
        Entry("3", json.dumps(told("joined", "ann"))),
        Entry("4", '{"a": 1, "a": 2}'),
        Entry("5", json.dumps(told("joined", "bob", 1e6))),
        Entry("6\x00", "nul\x00"),
    ]
    for _ in range(2):
        deliver(store, entries, DOOR, NARROW)
    assert there(store) == {"ann"}
    kept = [(one.entry, one.reason) for one in aside(store)]
    assert [entry for entry, _ in kept] == ["1", "2", "4", "5", "6\\x00"]
    for (_, reason), words in zip(kept, ("type: required", "UTF-8", "twice", "time: ", "not valid JSON"), strict=True):
        assert words in reason


def test_an_event_that_breaks_us_is_set_aside_and_its_neighbours_are_taken(
    sqlite_store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A trigger stands for a bug."""
    with sqlite_store.write() as session:
        session.connection().exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON roster_events WHEN NEW.agent = 'bug' BEGIN SELECT json('{'); END"
        )
    try:
        _deliver(sqlite_store, told("joined", "ann"), told("joined", "bug"), told("joined", "bob"))
    finally:
        with sqlite_store.write() as session:
            session.connection().exec_driver_sql("DROP TRIGGER broken")
    assert there(sqlite_store) == {"ann", "bob"}
    (one,) = aside(sqlite_store)
    assert "could not be taken" in one.reason
    broke = [record for record in caplog.records if getattr(record, "action", "") == "roster_event_broke"]
    assert len(broke) == 1
    assert "'ann'" not in caplog.text
