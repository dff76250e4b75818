"""One event of the roster, as JSON has it: the event, or a line for each thing that is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.roster import JoinedEvent
from tests.integration.roster_rig import PROFILE, told, told_all
from worker.app import INTAKE, make_app
from worker.cli.event_schema import event_schema
from worker.intake.read_events import in_one_line, read_event, read_event_text
from worker.intake.roster_delivery import entries_of

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "roster-events.schema.json"
GOOD = told("joined", "ann", id_="1")
ELSEWHERE = "customers/acme/profiles/other"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


WRONG: list[tuple[object, str]] = [
    (None, "an event is one JSON object"),
    ([GOOD], "an event is one JSON object"),
    ({}, "type: required, but nothing is given"),
    (GOOD | {"type": 7}, "type: must be one of coaching.roster.agent.joined, "),
    (GOOD | {"type": "coaching.roster.agent.Joined"}, "type: must be one of coaching.roster.agent.joined, "),
    (without("id"), "id: required, but nothing is given"),
    (without("source"), "source: required, but nothing is given"),
    (without("time"), "time: required, but nothing is given"),
    (without("data"), "data: required, but nothing is given"),
    (without("specversion"), "specversion: required, but nothing is given"),
    (GOOD | {"specversion": "0.3"}, "specversion: must be '1.0'"),
    (GOOD | {"id": ""}, "id: must be 1 to 255 characters, none of them a control character"),
    (GOOD | {"id": "x" * 256}, "id: must be 1 to 255 characters, none of them a control character"),
    (GOOD | {"source": "h r"}, "source: must be 1 to 500 characters, without spaces"),
    (GOOD | {"time": "2026-01-31 08:00:00"}, "time: '2026-01-31 08:00:00' is no RFC 3339 time with an offset"),
    (GOOD | {"time": 1_700_000_000}, "time: 1700000000 is no RFC 3339 time"),
    (GOOD | {"datacontenttype": "text/plain"}, "datacontenttype: must be 'application/json'"),
    (GOOD | {"data": "ann"}, "data: must be a JSON object"),
    (GOOD | {"data_base64": "eyJ9"}, "data_base64 is not taken; give the data as JSON in data"),
    (told("joined", ""), "data.agent: must be 1 to 500 characters, without spaces"),
    (told("joined", "a\tb"), "data.agent: must be 1 to 500 characters, without spaces"),
    (told("joined", "ann", profile="support"), "data.profile: 'support' is no profile name; expected customers/"),
    (told("joined", "ann", groups="tier-1"), "data.groups: must be a JSON array"),
    (told("joined", "ann", groups=["tier 1"]), "data.groups[0]: must be 1 to 500 characters, without spaces"),
    (told("joined", "ann", usecases=["voice"]), "data.usecases[0]: 'voice' is no usecase name; expected customers/"),
    (
        told("joined", "ann", usecases=[f"{ELSEWHERE}/usecases/voice"]),
        "data: usecases[0] 'customers/acme/profiles/other/usecases/voice' lies outside",
    ),
    (told("joined", "ann", coachingPlanName="p"), "data.coachingPlanName: 'p' is no coaching plan name"),
    (told("joined", "ann", joinedAt="2026-01-31"), "data.joinedAt: '2026-01-31' is no RFC 3339 time"),
    (told("joined", "ann", name="Ann"), "data.name: unknown field"),
    (told("left", "ann", groups=[]), "data.groups: unknown field"),
    (told("moved", "ann", groups=None), "data.groups: must be a JSON array"),
    (told("changed", "ann"), "data: a change without groups, usecases, coachingPlanName and joinedAt changes nothing"),
    (told_all(["ann", "ann"]), "data: agents[1]: 'ann' is in the snapshot twice"),
    (told_all(["ann"], profile=ELSEWHERE), f"data: agents[0] belongs to {ELSEWHERE}, the snapshot is of {PROFILE}"),
    (told_all(["ann"], groups=7), "data.agents[0].groups: must be a JSON array"),
]
WRONG_TEXTS = [
    (b"", "not valid JSON at column 1"),
    (b"{", "not valid JSON at column 2"),
    (b"\xff\xfe", "not UTF-8 at byte 1"),
    (b'{"id": "1", "id": "2"}', 'the key "id" is given twice in one object'),
    (b"[" * 100_000, "the JSON is nested too deeply"),
    (b'{"time": ' + b"1" * 5_000 + b"}", "the JSON holds a number of thousands of digits"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_what_is_wrong_is_said_in_one_line_that_names_the_field(wrong: object, said: str) -> None:
    errors = read_event(wrong)
    assert isinstance(errors, tuple)
    line = in_one_line(errors)
    assert line.startswith(said)
    assert "\n" not in line


@pytest.mark.parametrize(("wrong", "said"), WRONG_TEXTS, ids=[said for _, said in WRONG_TEXTS])
def test_what_is_no_json_is_said_in_one_line(wrong: bytes, said: str) -> None:
    errors = read_event_text(wrong)
    assert isinstance(errors, tuple)
    assert in_one_line(errors).startswith(said)


@given(ANYTHING, st.sampled_from(sorted(GOOD)))
def test_whatever_stands_in_a_field_is_read_or_refused(what: object, field: str) -> None:
    for given_ in (GOOD | {field: what}, GOOD | {"data": GOOD["data"] | {"groups": what}}, what):
        read = read_event(given_)
        assert isinstance(read, JoinedEvent) or in_one_line(read)  # type: ignore[arg-type]
        assert isinstance(read_event_text(json.dumps(given_)), type(read))


def test_extensions_are_ignored_and_null_is_as_absent() -> None:
    more = GOOD | {"traceparent": "00-1", "subject": None, "datacontenttype": None}
    read = read_event_text(json.dumps(more))
    assert isinstance(read, JoinedEvent)
    assert read.data == read_event(GOOD).data  # type: ignore[union-attr]


def test_that_nobody_knows_when_somebody_joined_can_be_said() -> None:
    read = read_event_text(json.dumps(told("changed", "ann", joinedAt=None)))
    assert not isinstance(read, tuple)
    assert "joined_at" in read.data.model_fields_set


def test_an_event_that_is_one_already_is_taken_as_it_is() -> None:
    event = read_event(GOOD)
    assert read_event(event) is event


@pytest.mark.parametrize(
    ("given_", "named", "contents"),
    [
        ([[GOOD, 7]], {}, [GOOD, 7]),
        ([], {"events": [GOOD]}, [GOOD]),
        ([GOOD], {}, [GOOD]),
        ([[]], {}, []),
        ([["{}"]], {}, ["{}"]),
    ],
)
def test_a_message_holds_a_list_of_events_or_one(given_: list[Any], named: dict[str, Any], contents: list[Any]) -> None:
    entries = entries_of("m-1", given_, named)
    assert [json.loads(entry.content) for entry in entries] == contents
    assert [entry.name for entry in entries] == [f"m-1/{number}" for number in range(len(contents))]


@pytest.mark.parametrize(
    ("given_", "named"),
    [([], {}), ([[GOOD], 2], {}), ([], {"event": GOOD}), ([[GOOD]], {"events": []})],
)
def test_a_message_with_other_arguments_is_kept_whole(given_: list[Any], named: dict[str, Any]) -> None:
    (entry,) = entries_of("m-1", given_, named)
    assert entry.reason
    assert json.loads(entry.content) == [given_, named]


def test_the_schema_is_the_models() -> None:
    assert SCHEMA.read_text() == event_schema(), "`make docs` writes it anew"


def test_workers_take_the_roster_s_events_after_what_is_urgent() -> None:
    with make_app("redis://127.0.0.1:1/0") as app:
        assert [queue.name for queue in app.conf.task_queues] == ["coachsync.interactive", INTAKE, "coachsync.bulk"]
