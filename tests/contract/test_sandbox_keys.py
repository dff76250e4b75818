"""Idempotency-Key, off and honoured."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import httpx
import pytest

from api_adapter.sandbox.idempotency import IdempotencyMode
from api_adapter.sandbox.options import SandboxOptions
from tests.contract.sandbox_caller import PROFILE, TARGET, WISH, Caller, calling

KEY = {"Idempotency-Key": '"8e03978e"'}


@pytest.fixture(scope="module")
def running() -> Iterator[Caller]:
    with calling(SandboxOptions(targets=30, idempotency=IdempotencyMode.HONOUR)) as caller:
        yield caller


@pytest.fixture
def api(running: Caller) -> Caller:
    assert running.http.post("/_sandbox/reset").status_code == 200
    return running


def test_a_remote_that_ignores_keys_writes_twice() -> None:
    with calling() as api:
        for _ in range(2):
            assert "Idempotency-Replayed" not in api.update(headers=KEY).headers
        assert api.ledger()["effects"] == 2
        assert api.update(headers={"Idempotency-Key": "unquoted"}).status_code == 200


def test_a_completed_request_gets_its_stored_answer_again_and_no_second_effect(api: Caller) -> None:
    first = api.update(headers=KEY)
    api.update(fields=WISH | {"target": "10"})
    again = api.update(headers=KEY)
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert api.get()["target"] == 10, "the stored answer, not the effect, is repeated"
    effects = api.http.get("/_sandbox/effects", params={"name": TARGET}).json()["effects"]
    assert [(effect["new"]["target"], effect["replays"]) for effect in effects] == [(82.5, 1), (10, 0)]
    assert effects[0]["idempotency_key"] == KEY["Idempotency-Key"]


def test_a_cut_answer_can_be_had_by_sending_the_key_again(api: Caller) -> None:
    api.script({"kind": "cut_after"}, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        api.update(headers=KEY)
    assert api.update(headers=KEY).json()["target"]["target"] == 82.5
    assert api.ledger()["effects"] == 1


def test_a_key_with_another_payload_is_unprocessable(api: Caller) -> None:
    api.update(headers=KEY)
    assert api.update(fields=WISH | {"target": "10"}, headers=KEY).status_code == 422
    assert api.update(f"{PROFILE}/targets/t-00001", headers=KEY).status_code == 422
    assert api.ledger()["effects"] == 1


def test_a_malformed_key_is_a_bad_request(api: Caller) -> None:
    assert api.update(headers={"Idempotency-Key": "8e03978e"}).status_code == 400
    assert api.ledger()["effects"] == 0


def test_a_key_whose_first_request_is_still_worked_on_conflicts(api: Caller) -> None:
    api.script({"kind": "delay", "delay": 0.5}, times=1)
    with ThreadPoolExecutor(1) as callers:
        first = callers.submit(api.update, headers=KEY)
        deadline = monotonic() + 5
        while not api.ledger()["requests"] and monotonic() < deadline:
            pass
        answer = api.update(headers=KEY)
        assert (answer.status_code, answer.json()["code"]) == (409, 10)
        assert first.result().status_code == 200
    assert api.update(headers=KEY).headers["Idempotency-Replayed"] == "true"
    assert api.ledger()["effects"] == 1


def test_a_refusal_leaves_the_key_free(api: Caller) -> None:
    assert api.update(fields=WISH | {"target": "101"}, headers=KEY).status_code == 400
    assert api.update(headers=KEY).status_code == 200


def test_creation_and_deletion_are_done_once_too(api: Caller) -> None:
    created = [api.http.post(f"/v1/{PROFILE}/targets", json=WISH, headers=KEY).json() for _ in range(2)]
    assert created[0] == created[1]
    deleted = [api.http.delete(f"/v1/{TARGET}", headers={"Idempotency-Key": '"b"'}).status_code for _ in range(2)]
    assert deleted == [200, 200]
    assert api.ledger()["effects"] == 2
    assert api.ledger()["replays"] == 2


def test_reads_have_no_keys(api: Caller) -> None:
    api.http.get(f"/v1/{TARGET}", headers=KEY)
    assert api.update(headers=KEY).status_code == 200


def test_the_mode_can_be_switched_while_it_runs(api: Caller) -> None:
    api.settings(idempotency="off")
    for _ in range(2):
        api.update(headers=KEY)
    api.settings(idempotency="honour")
    for _ in range(2):
        api.update(headers=KEY)
    assert api.ledger()["effects"] == 3
