import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_adapter.classify import NoReply, Reply, classify
from api_adapter.error_body import LONGEST_MESSAGE
from api_adapter.outcomes import (
    Ambiguous,
    Answered,
    Exchange,
    Missing,
    Operation,
    Outcome,
    Refused,
    Throttled,
    Trouble,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from schemas.coaching import Quota, Target, TargetEnvelope

UPDATE, CREATE, DELETE, GET = (
    Operation.UPDATE_TARGET,
    Operation.CREATE_TARGET,
    Operation.DELETE_TARGET,
    Operation.GET_TARGET,
)
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a cold machine, many at work
WAIT = timedelta(seconds=7)


def _classify(
    operation: Operation, status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> Outcome[Target]:
    exchange = Exchange(operation, "id-1", status, timedelta(0), WAIT)
    return classify(exchange, Reply(status, headers or {}, body), _read)


def _read(body: bytes) -> Target:
    return TargetEnvelope.model_validate_json(body).target


def _message(status: int, body: bytes) -> str:
    outcome = _classify(UPDATE, status, body)
    assert isinstance(outcome, Refused | Missing | Unsupported | Ambiguous)
    return outcome.message


@pytest.mark.parametrize(
    ("status", "update", "create", "delete", "read"),
    [
        (101, Ambiguous, Ambiguous, Unavailable, Unavailable),
        (302, Unavailable, Unavailable, Unavailable, Unavailable),
        (400, Refused, Refused, Refused, Refused),
        (401, Unauthorized, Unauthorized, Unauthorized, Unauthorized),
        (403, Unauthorized, Unauthorized, Unauthorized, Unauthorized),
        (404, Missing, Missing, Missing, Missing),
        (405, Unsupported, Unsupported, Unsupported, Unsupported),
        (407, Unauthorized, Unauthorized, Unauthorized, Unauthorized),
        (408, Ambiguous, Ambiguous, Unavailable, Unavailable),
        (409, Ambiguous, Refused, Unavailable, Unavailable),
        (410, Missing, Missing, Missing, Missing),
        (413, Refused, Refused, Refused, Refused),
        (422, Refused, Refused, Refused, Refused),
        (425, Ambiguous, Ambiguous, Unavailable, Unavailable),
        (429, Throttled, Throttled, Throttled, Throttled),
        (499, Ambiguous, Ambiguous, Unavailable, Unavailable),
        (500, Ambiguous, Ambiguous, Unavailable, Unavailable),
        (501, Unsupported, Unsupported, Unsupported, Unsupported),
        (502, Ambiguous, Ambiguous, Unavailable, Unavailable),
        (503, Unavailable, Ambiguous, Unavailable, Unavailable),
        (504, Ambiguous, Ambiguous, Unavailable, Unavailable),
        (520, Ambiguous, Ambiguous, Unavailable, Unavailable),
        (799, Ambiguous, Ambiguous, Unavailable, Unavailable),
    ],
)
def test_each_status_comes_to_what_the_table_of_retries_says(
    status: int, update: type, create: type, delete: type, read: type
) -> None:
    reads = set(Operation) - {UPDATE, CREATE, DELETE}
    assert type(_classify(UPDATE, status)) is update
    assert type(_classify(CREATE, status)) is create
    assert type(_classify(DELETE, status)) is delete
    assert {type(_classify(operation, status)) for operation in reads} == {read}


def test_the_wait_that_was_asked_for_is_in_throttled_and_unavailable() -> None:
    throttled, unavailable = _classify(UPDATE, 429), _classify(UPDATE, 503)
    assert isinstance(throttled, Throttled)
    assert isinstance(unavailable, Unavailable)
    assert throttled.retry_after == unavailable.retry_after == WAIT


def test_a_2xx_with_its_value_is_answered() -> None:
    name = "customers/acme/profiles/support/targets/t-1"
    for status in (200, 201):
        outcome = _classify(UPDATE, status, json.dumps({"target": {"name": name, "new": 1}}).encode())
        assert isinstance(outcome, Answered)
        assert outcome.value.name == name


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"null", b'{"target": {"name": "cust', b"<html>", b"\xff\xfe", b"[" * 9999]
)
def test_a_2xx_that_cannot_be_understood_leaves_a_write_ambiguous_and_a_read_unavailable(body: bytes) -> None:
    assert isinstance(_classify(UPDATE, 200, body), Ambiguous)
    assert isinstance(_classify(CREATE, 200, body), Ambiguous)
    assert isinstance(_classify(GET, 200, body), Unavailable)


def test_what_is_wrong_with_an_answer_is_said() -> None:
    page = _classify(GET, 200, b"<html><head><title>Sign in</title></head></html>")
    assert isinstance(page, Unavailable)
    assert page.message == (
        "200, but the answer cannot be understood: Invalid JSON: expected value at line 1 column 1 (it reads 'Sign in')"
    )
    nameless = _classify(GET, 200, b'{"target": {}}')
    assert isinstance(nameless, Unavailable)
    assert "target.name. Field required" in nameless.message


@pytest.mark.parametrize(
    ("body", "quota"),
    [
        ({"totalAgentQuota": 40, "totalActiveAgentsCount": 8}, (40, 8)),
        ({"totalAgentQuota": "40", "totalActiveAgentsCount": 8.0}, (40, 8)),
        ({"totalActiveAgentsCount": 8}, (0, 8)),
        ({"totalAgentQuota": None, "news": []}, (0, 0)),
        ({}, (0, 0)),
    ],
)
def test_absent_numbers_are_zero_and_an_int32_may_be_a_string(body: dict[str, Any], quota: tuple[int, int]) -> None:
    exchange = Exchange(Operation.RETRIEVE_QUOTA, "id-1", 200, timedelta(0))
    outcome = classify(exchange, Reply(200, {}, json.dumps(body).encode()), Quota.model_validate_json)
    assert isinstance(outcome, Answered)
    assert (outcome.value.total_agent_quota, outcome.value.total_active_agents_count) == quota


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"code": 3, "message": "bad target", "details": [{}]}, "INVALID_ARGUMENT", "bad target"),
        ({"error": "bad target", "code": 9, "details": []}, "FAILED_PRECONDITION", "bad target"),
        ({"error": {"code": 400, "message": "bad", "status": "OUT_OF_RANGE"}}, "OUT_OF_RANGE", "bad"),
        ({"error": "invalid_client", "error_description": "who?"}, "HTTP_400", "who?"),
        ({"code": 2, "httpStatus": 500, "message": "Not Allowed", "status": "UNKNOWN"}, "UNKNOWN", "Not Allowed"),
        ({"code": "3", "message": ["x"]}, "HTTP_400", "400 Bad Request"),
        ({"code": True, "message": ""}, "HTTP_400", "400 Bad Request"),
        ({"code": 10**400, "message": None}, "HTTP_400", "400 Bad Request"),
    ],
)
def test_the_remotes_words_are_read_in_each_shape_seen(body: dict[str, Any], code: str, message: str) -> None:
    outcome = _classify(UPDATE, 400, json.dumps(body).encode())
    assert outcome == Refused(outcome.exchange, code, message)


def test_the_wire_status_decides_whatever_the_body_says() -> None:
    body = {"code": 2, "httpStatus": 500, "message": "Method Not Allowed", "status": "UNKNOWN"}
    outcome = _classify(UPDATE, 405, json.dumps(body).encode())
    assert outcome == Unsupported(outcome.exchange, "Method Not Allowed")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><head><title>502 Bad &amp; Gone</title></head><body>x</body></html>", "502 Bad & Gone"),
        (b"\n<!DOCTYPE html><style>p {}</style><p>Over\n quota</p>", "Over quota"),
        (b"upstream connect error", "upstream connect error"),
        (b"", "502 Bad Gateway"),
        (b"<><>", "502 Bad Gateway"),
        ("zu groß".encode("latin-1"), "zu gro�"),
        (b"a\x1b[31mred\x00\r\nline\xe2\x80\xaeback", "a [31mred line back"),
        (b'{"message": "two\\nlines \\u001b]0;x\\u0007"}', "two lines ]0;x"),
    ],
)
def test_words_of_a_proxy_fit_in_one_line_without_control_characters(body: bytes, message: str) -> None:
    assert _message(502, body) == message


@pytest.mark.parametrize("body", [b"x" * 2_000_000, b'{"message": "' + b"x" * 2_000_000 + b'"}'])
def test_long_words_are_cut(body: bytes) -> None:
    assert _message(502, body) == "x" * (LONGEST_MESSAGE - 1) + "…"


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://user:pass@login.example.com/sso?session=s3cret", "leads to login.example.com"),
        ("/elsewhere?session=s3cret", "leads to the same host"),
        ("https://[broken/s3cret", "leads to the same host"),
        ("", "leads to the same host"),
    ],
)
def test_a_redirect_is_not_followed_and_only_its_host_is_named(location: str, told: str) -> None:
    outcome = _classify(UPDATE, 307, headers={"location": location})
    assert isinstance(outcome, Unavailable)
    assert told in outcome.message
    assert "s3cret" not in outcome.message
    assert "pass" not in outcome.message


@pytest.mark.parametrize("operation", list(Operation))
def test_what_never_left_is_unavailable_and_what_may_have_left_is_ambiguous_for_a_write(operation: Operation) -> None:
    exchange = Exchange(operation, "id-1", None, timedelta(0))
    never, maybe = (classify(exchange, NoReply(left, "gone"), _read) for left in (False, True))
    assert never == Unavailable(exchange, None, "gone")
    assert maybe == (
        Ambiguous(exchange, "gone") if operation in (UPDATE, CREATE) else Unavailable(exchange, None, "gone")
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["target", "error", "code", "status", "message", "name"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@PATIENT
@given(
    operation=st.sampled_from(Operation),
    status=st.integers(100, 999),
    headers=st.dictionaries(st.sampled_from(["location", "content-type", "retry-after"]), st.text()),
    body=st.binary() | st.text().map(str.encode) | _JSON.map(json.dumps).map(str.encode),
)
def test_classify_is_total_over_any_status_any_headers_any_bytes(
    operation: Operation, status: int, headers: dict[str, str], body: bytes
) -> None:
    outcome = _classify(operation, status, body, headers)
    assert isinstance(outcome, Answered | Trouble)
    message = getattr(outcome, "message", "")
    assert message.isprintable()
    assert len(message) <= LONGEST_MESSAGE + 100
    if isinstance(outcome, Ambiguous):
        assert operation in (UPDATE, CREATE)
