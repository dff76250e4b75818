import pytest

from api_adapter.sandbox.answers import Answer
from api_adapter.sandbox.errors import Refusal
from api_adapter.sandbox.idempotency import Records, parse_key


@pytest.mark.parametrize(
    ("header", "key"),
    [('"8e03978e"', "8e03978e"), ('  "a b" ', "a b"), (r'"a\"b\\c"', 'a"b\\c')],
)
def test_a_key_is_a_quoted_structured_field_string(header: str, key: str) -> None:
    assert parse_key(header) == key


@pytest.mark.parametrize("header", ["8e03978e", '""', '"a', '"a"b"', '"é"', r'"a\n"', '"a";x=1', "", '"\t"'])
def test_anything_else_is_refused_as_malformed(header: str) -> None:
    with pytest.raises(Refusal) as refusal:
        parse_key(header)
    assert refusal.value.status == 400


def test_a_completed_record_answers_the_same_request_again() -> None:
    records = Records()
    record = records.open("key", "request")
    record.answer = Answer(200, b"{}")
    assert records.open("key", "request").answer == Answer(200, b"{}")


@pytest.mark.parametrize(("fingerprint", "status"), [("request", 409), ("another request", 422)])
def test_a_key_in_flight_conflicts_and_another_payload_is_refused(fingerprint: str, status: int) -> None:
    records = Records()
    records.open("key", "request")
    with pytest.raises(Refusal) as refusal:
        records.open("key", fingerprint)
    assert refusal.value.status == status


def test_a_dropped_record_leaves_the_key_free() -> None:
    records = Records()
    records.open("key", "request")
    records.drop("key")
    assert records.open("key", "another request").answer is None
