"""Events of the roster by HTTP: in each mode of CloudEvents, from who has a token and from a source that signs."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.integration.gateway_rig import Gateway, gateway_on, problem
from tests.integration.roster_rig import rows, told, told_all
from tests.services.stores import on_both, on_sqlite
from worker.core.access import Scope
from worker.store.engine import Database

pytestmark = on_sqlite

EVENTS = "/v1/roster-events"
ONE, MANY = "application/cloudevents+json", "application/cloudevents-batch+json"
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
PLAIN = "p" * 32
SETTINGS = """
[guard]
floor = 2

[gateway.sources.hris]
verify = "standard-webhooks"
secret_env = "HRIS_SECRET"

[gateway.sources.payroll]
verify = "hmac-sha256"
header = "X-Signature"
timestamp_header = "X-Timestamp"
secret_file = "payroll-secret"
customers = ["acme"]

[gateway.sources.simple]
verify = "hmac-sha256"
header = "X-Hub-Signature-256"
secret_file = "payroll-secret"
"""


@pytest.fixture
def gateway(store: Database, tmp_path: Path) -> Iterator[Gateway]:
    (tmp_path / "coachsync.toml").write_text(SETTINGS)
    secret = tmp_path / "payroll-secret"
    secret.write_text(PLAIN)
    secret.chmod(0o600)
    with gateway_on(store, tmp_path, variables={"HRIS_SECRET": SECRET}) as one:
        yield one


@pytest.fixture
def source(gateway: Gateway) -> httpx.Client:
    return gateway.client(Scope.ROSTER_WRITE)


def post(client: httpx.Client, body: object, kind: str = ONE, path: str = EVENTS, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, content=content, headers={"Content-Type": kind, **headers})


@on_both
def test_an_event_is_taken_once_in_whatever_mode_it_comes(store: Database, source: httpx.Client) -> None:
    event = told("joined", "ann", id_="e-1")
    assert post(source, event).json()["accepted"] == 1
    assert post(source, [event, told("joined", "bob")], MANY).json() | {} == {
        "accepted": 1,
        "duplicates": 1,
        "joined": 1,
        "left": 0,
        "moved": 0,
        "changed": 0,
        "outdated": 0,
        "held": 0,
        "approval": None,
    }
    attributes = {f"ce-{name}": str(value) for name, value in event.items() if name != "data"}
    assert post(source, event["data"], "application/json", **attributes).json()["duplicates"] == 1
    assert post(source, event, "application/json").json()["duplicates"] == 1
    assert len(rows(store)) == 2


@on_both
def test_an_event_that_has_the_name_of_another_customers_is_not_taken_for_it(
    store: Database, source: httpx.Client
) -> None:
    event = told("joined", "ann", id_="e-1")
    assert post(source, event).status_code == 202
    theirs = event | {"data": event["data"] | {"profile": "customers/globex/profiles/support"}}
    (error,) = problem(post(source, theirs), 422, "invalid-events")["errors"]
    assert error["pointer"] == "/id"
    assert len(rows(store)) == 1


def test_attributes_in_headers_may_be_percent_encoded(store: Database, source: httpx.Client) -> None:
    event = told("joined", "ann")
    attributes = {f"ce-{name}": str(value) for name, value in event.items() if name != "data"}
    attributes |= {"ce-id": "%C3%A9-1"}
    assert post(source, event["data"], "application/json", **attributes).status_code == 202
    assert [row.event_id for row in rows(store)] == ["é-1"]


@pytest.mark.parametrize(
    ("body", "kind", "place"),
    [
        (told("joined", "a b"), ONE, {"pointer": "/data/agent"}),
        ([told("left", "ann"), told("joined", "a b")], MANY, {"pointer": "/1/data/agent"}),
        (told("joined", "ann") | {"time": "soon"}, ONE, {"pointer": "/time"}),
        (told("joined", "ann", at=9_000_000), ONE, {"pointer": "/time"}),
        (told("joined", "ann") | {"subject": "\ud800"}, ONE, {"pointer": "/subject"}),
        ([17], MANY, {"pointer": "/0"}),
    ],
)
def test_what_is_wrong_has_its_place_and_nothing_is_taken(
    body: object, kind: str, place: dict[str, str], store: Database, source: httpx.Client
) -> None:
    said = problem(post(source, body, kind), 422, "invalid-events")
    assert {name: said["errors"][0][name] for name in place} == place
    assert not rows(store)


def test_in_binary_mode_a_wrong_attribute_is_named_by_its_header(source: httpx.Client) -> None:
    event = told("joined", "a b") | {"time": "soon"}
    attributes = {f"ce-{name}": str(value) for name, value in event.items() if name != "data"}
    said = problem(post(source, event["data"], "application/json", **attributes), 422, "invalid-events")
    assert [{**one, "reason": ""} for one in said["errors"]] == [
        {"header": "ce-time", "reason": ""},
        {"pointer": "/agent", "reason": ""},
    ]


def test_the_guard_stops_a_token_and_holds_a_source(store: Database, gateway: Gateway, source: httpx.Client) -> None:
    everybody = [f"agent-{number}" for number in range(10)]
    assert post(source, told_all(everybody)).status_code == 202
    said = problem(post(source, told_all(everybody[:5], at=1)), 409, "guard-tripped")
    assert said["approval"] == 1
    body = json.dumps(told_all(everybody[:5], at=1)).encode()
    held = post(gateway.without_token(), body, path=f"{EVENTS}/hris", **standard(body))
    assert (held.status_code, held.json()["held"], held.json()["approval"]) == (202, 1, 2)
    assert len([row for row in rows(store) if row.state == "held"]) == 1


def test_the_same_key_gets_the_same_answer(store: Database, source: httpx.Client) -> None:
    key, event = {"Idempotency-Key": "k"}, told("joined", "ann")
    first, again = post(source, event, **key), post(source, event, **key)
    assert (first.json()["accepted"], again.json()["accepted"]) == (1, 1)
    assert again.headers["idempotency-replayed"] == "true"
    problem(post(source, told("joined", "bob"), **key), 422, "idempotency-key-reused")
    assert len(rows(store)) == 1


def test_a_token_speaks_of_its_customers_alone(store: Database, gateway: Gateway) -> None:
    theirs = gateway.client(Scope.ROSTER_WRITE, customers=("globex",))
    problem(post(theirs, told("joined", "ann")), 403, "another-customers")
    assert not rows(store)


def standard(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    from datetime import UTC, datetime  # noqa: PLC0415

    moment = time.time() if at is None else at  # noqa: TID251 - a sender's clock
    stamp = datetime.fromtimestamp(moment, UTC)
    signature = Webhook(secret).sign("msg_1", stamp, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(moment)), "webhook-signature": signature}


def plain(body: bytes, secret: str = PLAIN, at: float | None = None) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))  # noqa: TID251 - a sender's clock
    return {
        "X-Timestamp": stamp,
        "X-Signature": hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest(),
    }


def simple(body: bytes, secret: str = PLAIN, at: float | None = None) -> dict[str, str]:
    _ = at
    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


SIGNERS: list[Any] = [("hris", standard), ("payroll", plain), ("simple", simple)]
Sign = Callable[..., dict[str, str]]


@pytest.mark.parametrize(("name", "sign"), SIGNERS)
def test_a_source_that_signs_needs_no_token(name: str, sign: Sign, store: Database, gateway: Gateway) -> None:
    body = json.dumps(told("joined", "ann")).encode()
    said = post(gateway.without_token(), body, path=f"{EVENTS}/{name}", **sign(body))
    assert (said.status_code, said.json()["accepted"]) == (202, 1), said.text
    assert len(rows(store)) == 1


def test_a_signature_in_base64_fits_too(gateway: Gateway) -> None:
    body = json.dumps(told("joined", "ann")).encode()
    signature = base64.b64encode(hmac.new(PLAIN.encode(), body, hashlib.sha256).digest()).decode()
    headers = {"X-Hub-Signature-256": signature}
    assert post(gateway.without_token(), body, path=f"{EVENTS}/simple", **headers).status_code == 202


@pytest.mark.parametrize(("name", "sign"), SIGNERS)
def test_what_is_not_signed_as_agreed_is_not_read(name: str, sign: Sign, store: Database, gateway: Gateway) -> None:
    nobody, path, body = gateway.without_token(), f"{EVENTS}/{name}", json.dumps(told("joined", "ann")).encode()
    other = SECRET.replace("c3", "dD") if name == "hris" else "q" * 32
    for headers in ({}, sign(body, secret=other), sign(body + b" ")):
        problem(post(nobody, body, path=path, **headers), 401, "unauthorized")
    problem(post(nobody, b"no json", path=path, **sign(body)), 401, "unauthorized")
    if name != "simple":
        problem(post(nobody, body, path=path, **sign(body, at=time.time() - 301)), 401, "unauthorized")  # noqa: TID251
    problem(post(nobody, body, path=f"{EVENTS}/unknown", **sign(body)), 401, "unauthorized")
    assert not rows(store)


def test_a_source_speaks_of_its_customers_alone(gateway: Gateway) -> None:
    event = told("joined", "ann")
    event["data"]["profile"] = "customers/globex/profiles/support"
    body = json.dumps(event).encode()
    problem(post(gateway.without_token(), body, path=f"{EVENTS}/payroll", **plain(body)), 403, "another-customers")
