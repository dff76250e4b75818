import json
from typing import Any

import pytest

from api_adapter.sandbox.errors import FaultScriptError
from api_adapter.sandbox.faults import Faults, Kind, draw, parse_faults

PATH = "/v1/customers/acme/profiles/support/targets/t-00001"
STATUS = {"kind": "status", "status": 503}


def _faults(*entries: dict[str, Any], seed: int = 0) -> Faults:
    return Faults(parse_faults(list(entries)), seed)


def _pattern(faults: Faults, requests: int, method: str = "PATCH", path: str = PATH) -> str:
    return "".join("x" if faults.next(method, path) else "." for _ in range(requests))


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("{", "the fault script is no JSON"),
        ("{}", "the fault script is a dict; a list of entries is expected"),
        ([STATUS], "fault 1: fault: Field required"),
        ([{"fault": STATUS}, {"fault": {"kind": "explode"}}], "fault 2: fault.kind: Input should be 'status'"),
        ([{"fault": {"kind": "status"}}], "fault 1: fault: kind status needs a status"),
        ([{"fault": {"kind": "status", "status": 99}}], "fault 1: fault.status: Input should be greater than"),
        ([{"fault": {**STATUS, "stauts": 1}}], "fault 1: fault.stauts: unknown field"),
        ([{"match": {"probability": 1.5}, "fault": STATUS}], "fault 1: match.probability: Input should be less than"),
        ([{"match": {"nth": 0}, "fault": STATUS}], "fault 1: match.nth: requests are counted from 1"),
        ([{"match": {"path": "^("}, "fault": STATUS}], "fault 1: match.path: '^(' is no regular expression"),
        ([{"times": 0, "fault": STATUS}], "fault 1: times: Input should be greater than"),
        ([{"fault": {"kind": "delay"}}], "fault 1: fault: kind delay needs a delay"),
        ([{"fault": {**STATUS, "retry_after": "soon"}}], "fault 1: fault.retry_after: 'soon' is neither seconds nor"),
        ([{"fault": {"kind": "cut_after", "written": False}}], "fault 1: fault: kind cut_after has no choice"),
        ([{"fault": {"kind": "wrong_echo", "body": "x"}}], "fault 1: fault: kind wrong_echo shows the fields"),
        ([{"fault": {**STATUS, "headers": {"X": "a\r\nb"}}}], "fault 1: fault.headers.X: String should match"),
        ([{"fault": {**STATUS, "headers": {"X:": "a"}}}], "fault 1: fault.headers.X:"),
        (["cut"], "fault 1: Input should be"),
    ],
)
def test_a_wrong_script_is_refused_in_one_line_that_names_entry_and_field(script: Any, complaint: str) -> None:
    with pytest.raises(FaultScriptError) as error:
        parse_faults(script)
    assert str(error.value).startswith(complaint)
    assert "\n" not in str(error.value)


def test_a_script_is_taken_as_text_as_bytes_and_as_a_list() -> None:
    entries = [{"match": {"method": "PATCH"}, "times": None, "fault": STATUS}]
    text = json.dumps(entries)
    assert parse_faults(text) == parse_faults(text.encode()) == parse_faults(entries)


@pytest.mark.parametrize(
    ("match", "method", "path", "fires"),
    [
        ({}, "GET", PATH, True),
        ({"method": "patch"}, "PATCH", PATH, True),
        ({"method": "PATCH"}, "GET", PATH, False),
        ({"path": "*/targets/t-00001"}, "PATCH", PATH, True),
        ({"path": "*/targets/t-00001"}, "PATCH", PATH + "0", False),
        ({"path": "*acme*"}, "PATCH", PATH, True),
        ({"path": "^/v1/customers/(acme|globex)/"}, "PATCH", PATH, True),
        ({"path": "^/v1/customers/globex/"}, "PATCH", PATH, False),
        ({"path": "*:retrieveTotalAgentQuota"}, "POST", "/v1/x@1:retrieveTotalAgentQuota", True),
    ],
)
def test_method_and_path_say_whom_a_fault_concerns(
    match: dict[str, Any], method: str, path: str, *, fires: bool
) -> None:
    assert bool(_faults({"match": match, "fault": STATUS}).next(method, path)) is fires


@pytest.mark.parametrize(
    ("entry", "pattern"),
    [
        ({}, "xxxxxx"),
        ({"times": 2}, "xx...."),
        ({"match": {"nth": 3}}, "..x..."),
        ({"match": {"nth": [2, 5]}}, ".x..x."),
        ({"match": {"nth": [2, 5]}, "times": 1}, ".x...."),
        ({"match": {"probability": 0.0}}, "......"),
    ],
)
def test_a_fault_fires_at_its_count_and_so_often(entry: dict[str, Any], pattern: str) -> None:
    assert _pattern(_faults({**entry, "fault": STATUS}), 6) == pattern


def test_only_requests_that_match_are_counted() -> None:
    faults = _faults({"match": {"method": "PATCH", "nth": 2}, "fault": STATUS})
    assert [faults.next(method, PATH) is None for method in ("PATCH", "GET", "PATCH")] == [True, True, False]


def test_the_first_entry_that_fires_has_the_request_and_the_others_count_it_too() -> None:
    faults = _faults(
        {"times": 1, "fault": {"kind": "cut_before"}},
        {"match": {"nth": 2}, "fault": {"kind": "cut_after"}},
        {"fault": {"kind": "garbage"}},
    )
    fired = [faults.next("PATCH", PATH) for _ in range(3)]
    assert [fault and fault.kind for fault in fired] == [Kind.CUT_BEFORE, Kind.CUT_AFTER, Kind.GARBAGE]
    assert faults.fired == (1, 1, 1)


def test_the_same_seed_draws_the_same_faults_whatever_entries_follow() -> None:
    entry = {"match": {"probability": 0.3}, "fault": {"kind": "cut_before"}}
    first = _pattern(_faults(entry, seed=7), 200)
    assert first == _pattern(_faults(entry, seed=7), 200)
    assert first != _pattern(_faults(entry, seed=8), 200)
    assert 35 <= first.count("x") <= 85
    followed = _faults(entry, {"match": {"probability": 0.5}, "fault": STATUS}, seed=7)
    kinds = [fault and fault.kind for fault in (followed.next("PATCH", PATH) for _ in range(200))]
    assert first == "".join("x" if kind is Kind.CUT_BEFORE else "." for kind in kinds)


def test_draws_lie_between_nothing_and_one_and_differ() -> None:
    draws = {draw(0, entry, count) for entry in range(4) for count in range(50)}
    assert len(draws) == 200
    assert all(0 <= drawn < 1 for drawn in draws)


@pytest.mark.parametrize(
    ("fault", "works"),
    [
        (STATUS, False),
        ({**STATUS, "written": True}, True),
        ({"kind": "html"}, False),
        ({"kind": "garbage"}, True),
        ({"kind": "garbage", "written": False}, False),
        ({"kind": "cut_before"}, False),
        ({"kind": "cut_after"}, True),
        ({"kind": "delay", "delay": 0.1}, True),
        ({"kind": "wrong_echo"}, True),
    ],
)
def test_each_kind_says_whether_the_effect_is_written(fault: dict[str, Any], *, works: bool) -> None:
    (entry,) = parse_faults([{"fault": fault}])
    assert entry.fault.does_the_work is works
