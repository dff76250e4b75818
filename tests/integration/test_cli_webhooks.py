"""`coachsync webhooks`: endpoints are made, changed, tried, ended; deliveries looked at, sent again; keys replaced."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook

from schemas.webhooks import EventType
from tests.integration.cli_rig import Command, command_on
from tests.integration.store_rig import USECASE, applied, job_ids, take, wish, write
from tests.integration.webhook_rig import (
    LONG_AGO,
    Answer,
    Receiver,
    deliveries_of,
    endpoint,
    left,
    make_endpoint,
    messages,
    receiving,
    set_endpoint,
    states,
    tell_some,
)
from tests.services import processes
from tests.services.stores import on_both, on_sqlite
from worker.clock import utc_now
from worker.store import endpoints
from worker.store.engine import Database
from worker.store.outbox import DEAD, DELIVERED, DISABLED, ENABLED, PENDING
from worker.store.tables import deliveries, delivery_attempts, endpoint_secrets
from worker.webhooks.signing import Verifier

pytestmark = on_sqlite

ALLOWED = '[webhooks]\nallow_http = true\nallow = ["127.0.0.1"]\n'
URL = "https://hooks.example.com/coaching"
FIRST, SECOND = "1" * 32, "2" * 32
ENDPOINTS, DELIVERIES = ("webhooks", "endpoints"), ("webhooks", "deliveries")


@pytest.fixture
def coachsync(coachsync: Command, tmp_path: Path) -> Command:
    (tmp_path / "coachsync.toml").write_text(ALLOWED)
    return Command({**coachsync.environ, "COACHSYNC_WEBHOOK_KEY": FIRST})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def create(coachsync: Command, url: str = URL, *options: object) -> dict[str, Any]:
    made: dict[str, Any] = coachsync.json(*ENDPOINTS, "create", url, *options)
    return made


def set_deliveries(store: Database, *ids: int, **values: object) -> None:
    with store.write() as session:
        session.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(**values))


# Endpoints


@on_both
def test_an_endpoint_is_made_as_it_is_asked_for_and_its_secret_is_shown(coachsync: Command) -> None:
    made = create(
        coachsync, URL, "--type", "target.*", "--type", "batch.completed", "--customer", "acme", "--usecase", USECASE,
        "--batch", "nightly", "--description", "the warehouse", "--ordered", "--rate", 20, "--concurrency", 5,
    )  # fmt: skip
    assert made.pop("secret").startswith("whsec_")
    assert made == {
        "endpoint": made["endpoint"],
        "state": "enabled",
        "url": URL,
        "description": "the warehouse",
        "types": ["batch.completed", "target.*"],
        "customers": ["acme"],
        "usecases": [USECASE],
        "batches": ["nightly"],
        "ordered": True,
        "rateLimit": 20,
        "concurrency": 5,
        "createdAt": made["createdAt"],
        "failures": 0,
        "failingSince": None,
        "heldUntil": None,
        "disabledAt": None,
        "disabledReason": None,
        "pending": 0,
        "oldestDue": None,
        "dead": 0,
        "sentBy": None,
        "secrets": [{"kind": "v1", "createdAt": made["createdAt"], "retiresAt": None}],
    }
    assert coachsync.json(*ENDPOINTS, "show", made["endpoint"]) == made
    assert coachsync.json(*ENDPOINTS, "list") == [made]


def test_what_is_not_said_means_everything_ten_at_once_and_no_limit(coachsync: Command) -> None:
    made = create(coachsync, URL, "--type", "", "--customer", "", "--batch", "")
    fields = ("types", "customers", "usecases", "batches", "ordered", "rateLimit", "concurrency")
    assert [made[name] for name in fields] == [[], [], [], [], False, None, 10]


def test_an_asymmetric_endpoint_shows_its_public_key_and_no_secret(coachsync: Command, receiver: Receiver) -> None:
    made = create(coachsync, f"{receiver.url}/a", "--asymmetric")
    assert "secret" not in made
    coachsync(*ENDPOINTS, "test", made["endpoint"])
    (got,) = receiver.got
    assert Verifier(made["publicKey"]).verify(got.headers, got.body, utc_now().timestamp()) == got.id


def test_people_get_tables_and_sentences(store: Database, coachsync: Command) -> None:
    assert "nobody is told: coachsync webhooks endpoints create URL" in coachsync(*ENDPOINTS, "list").err
    said = coachsync(*ENDPOINTS, "create", URL, "--type", "quota.*").out
    assert "Its secret, shown this once: whsec_" in said
    name = said.split()[1]
    assert f"Endpoint {name} is made." in said
    listed = coachsync(*ENDPOINTS, "list").out
    assert all(word in listed for word in (name, "enabled", URL, "quota.*", "asks for"))
    shown = coachsync(*ENDPOINTS, "show", name).out
    assert "rate limit" in shown
    create(coachsync)
    tell_some(store, 2)
    assert "everything" in coachsync(*ENDPOINTS, "list").out
    assert f"{name} is paused; 0 wait for it." in coachsync(*ENDPOINTS, "pause", name).out
    assert f"{name} is enabled." in coachsync(*ENDPOINTS, "resume", name).out
    assert "The old secret signs too until" in coachsync(*ENDPOINTS, "rotate", name).out
    assert f"{name} is deleted; what waited for it is set aside." in coachsync(*ENDPOINTS, "delete", name).out


def test_an_update_changes_what_is_given_and_an_empty_filter_lets_everything_through(coachsync: Command) -> None:
    name = create(coachsync, URL, "--type", "target.*", "--customer", "acme", "--rate", 5)["endpoint"]
    changed = coachsync.json(*ENDPOINTS, "update", name, "--url", f"{URL}/2", "--type", "quota.changed", "--ordered")
    assert (changed["url"], changed["types"], changed["customers"], changed["ordered"], changed["rateLimit"]) == (
        f"{URL}/2", ["quota.changed"], ["acme"], True, 5,
    )  # fmt: skip
    changed = coachsync.json(*ENDPOINTS, "update", name, "--customer", "", "--rate", 0, "--unordered", "--batch", "7")
    assert (changed["customers"], changed["rateLimit"], changed["ordered"], changed["batches"]) == (
        [], None, False, ["7"],
    )  # fmt: skip
    assert "quota.changed" in coachsync(*ENDPOINTS, "update", name, "--concurrency", 3).out


def test_a_rotation_overlaps_as_the_settings_or_the_option_say(coachsync: Command) -> None:
    made = create(coachsync)
    rotated = coachsync.json(*ENDPOINTS, "rotate", made["endpoint"], "--asymmetric")
    assert rotated["publicKey"].startswith("whpk_")
    assert [(one["kind"], one["retiresAt"] is None) for one in rotated["secrets"]] == [("v1a", True), ("v1", False)]
    again = coachsync.json(*ENDPOINTS, "rotate", made["endpoint"], "--overlap", "0s")
    assert again["secret"] not in ("", made["secret"])
    assert [one["kind"] for one in again["secrets"]] == ["v1"]


@on_both
def test_a_paused_a_disabled_and_a_deleted_endpoint(store: Database, coachsync: Command) -> None:
    name = create(coachsync)["endpoint"]
    assert coachsync.json(*ENDPOINTS, "pause", name)["state"] == "paused"
    tell_some(store, 2)
    assert coachsync.json(*ENDPOINTS, "show", name)["pending"] == 2
    assert coachsync.json(*ENDPOINTS, "resume", name)["state"] == "enabled"
    set_endpoint(store, name, state=DISABLED, disabled_at=LONG_AGO, disabled_reason="it answered 410 Gone")
    assert "it answered 410 Gone" in coachsync(*ENDPOINTS, "show", name).out
    assert "What it has missed: coachsync webhooks recover" in coachsync(*ENDPOINTS, "resume", name).out
    assert coachsync.json(*ENDPOINTS, "delete", name)["state"] == "deleted"
    assert coachsync.json(*ENDPOINTS, "list") == []
    assert states(store) == [DEAD, DEAD]


# Trying an endpoint


def test_a_test_is_signed_and_says_what_came_back(store: Database, coachsync: Command, receiver: Receiver) -> None:
    made = create(coachsync, f"{receiver.url}/a")
    receiver.scripts["a"] = lambda _: Answer(202)
    told = coachsync.json(*ENDPOINTS, "test", made["endpoint"])
    assert told == {"endpoint": made["endpoint"], "taken": True, "status": 202, "error": None, "body": ""}
    (got,) = receiver.got
    body = Webhook(made["secret"]).verify(got.body, dict(got.headers))
    assert (body["type"], body["data"]["endpointId"]) == ("endpoint.test", made["endpoint"])
    assert "has taken it (202)" in coachsync(*ENDPOINTS, "test", made["endpoint"]).out
    assert (messages(store), deliveries_of(store)) == ([], [])


def test_a_test_that_is_not_taken_exits_1_and_counts_for_nothing(
    store: Database, coachsync: Command, receiver: Receiver
) -> None:
    name = create(coachsync, f"{receiver.url}/a")["endpoint"]
    receiver.scripts["a"] = lambda _: Answer(500)
    assert coachsync.json(*ENDPOINTS, "test", name, code=1)["status"] == 500
    assert "Not taken: it answered 500" in coachsync(*ENDPOINTS, "test", name, code=1).out
    away = create(coachsync, "http://127.0.0.1:1/")["endpoint"]
    assert "not sent" in coachsync.json(*ENDPOINTS, "test", away, code=1)["error"]
    assert endpoint(store, name).failures == 0


def test_a_test_goes_to_no_address_that_was_closed_after_the_endpoint_was_made(
    coachsync: Command, receiver: Receiver, tmp_path: Path
) -> None:
    name = create(coachsync, f"{receiver.url}/a")["endpoint"]
    (tmp_path / "coachsync.toml").write_text("[webhooks]\nallow_http = true\n")
    assert "loopback address" in coachsync.json(*ENDPOINTS, "test", name, code=1)["error"]
    assert receiver.got == []


def test_a_host_that_can_be_no_name_is_told_in_one_line(store: Database, coachsync: Command) -> None:
    name = create(coachsync)["endpoint"]
    set_endpoint(store, name, url="https://xn--.example/")
    assert "not sent" in coachsync.json(*ENDPOINTS, "test", name, code=1)["error"]


# Deliveries


@pytest.fixture
def told(store: Database) -> list[int]:
    """Deliveries of a job, of its batch, and of something else: one is dead, one delivered, one pending."""
    make_endpoint(store)
    write(store, *map(applied, take(store, *job_ids(store, wish(1)))))
    tell_some(store, 1)
    dead, delivered, pending = (one.id for one in deliveries_of(store))
    set_deliveries(store, dead, state=DEAD, attempts=10, status=500, error="gave up", finished_at=LONG_AGO)
    set_deliveries(store, delivered, state=DELIVERED, attempts=1, status=204, finished_at=LONG_AGO)
    return [dead, delivered, pending]


@on_both
def test_deliveries_are_listed_newest_first_and_chosen_by_options(coachsync: Command, told: list[int]) -> None:
    dead, delivered, pending = told

    def listed(*options: object) -> list[int]:
        return [one["delivery"] for one in coachsync.json(*DELIVERIES, "list", *options)]

    assert listed() == [pending, delivered, dead]
    assert listed("--limit", 1) == [pending]
    assert listed("--state", "dead") == [dead]
    assert listed("--type", "target.updated") == listed("--job", "1-1") == [dead]
    assert listed("--batch", 1) == [delivered, dead]
    assert listed("--endpoint", "ep_1", "--batch", 1, "--state", "delivered") == [delivered]
    assert listed("--since", "1h") == [pending, delivered, dead]
    assert listed("--since", "2099-01-01T00:00:00Z") == []
    first = coachsync.json(*DELIVERIES, "list", "--state", "dead")[0]
    assert (first["job"], first["batch"], first["attempts"], first["status"], first["error"]) == (
        "1-1", 1, 10, 500, "gave up",
    )  # fmt: skip
    table = coachsync(*DELIVERIES, "list").out
    assert all(word in table for word in ("dead", "delivered", "pending", "target.updated", "gave up"))
    assert "no such deliveries" in coachsync(*DELIVERIES, "list", "--since", "2099-01-01T00:00:00Z").err


def test_one_delivery_is_shown_with_its_body_and_each_attempt(
    store: Database, coachsync: Command, told: list[int]
) -> None:
    dead, _, pending = told
    row = {"delivery_id": dead, "started_at": LONG_AGO, "latency_ms": 12.5, "status": 500, "body": "no\x1b[2J"}
    with store.write() as session:
        session.execute(delivery_attempts.insert(), row | {"sender": "host:1"})
    shown = coachsync.json(*DELIVERIES, "show", dead)
    assert (shown["messageId"], shown["body"]["type"]) == (messages(store)[0].id, "target.updated")
    assert [(one["status"], one["latencyMs"], one["sender"]) for one in shown["tries"]] == [(500, 12.5, "host:1")]
    page = coachsync(*DELIVERIES, "show", dead).out
    assert "\x1b" not in page
    assert "no\\x1b[2J" in page
    assert "not tried yet" in coachsync(*DELIVERIES, "show", pending).err


def test_deliveries_are_sent_again_by_number_or_by_option(store: Database, coachsync: Command, told: list[int]) -> None:
    dead, delivered, _ = told
    retry = (*DELIVERIES, "retry")
    assert coachsync.json(*retry, dead, "--dry-run") == {"meant": 1, "retried": 0, "dryRun": True}
    assert "1 would be sent again. Nothing was changed." in coachsync(*retry, "--endpoint", "ep_1", "--dry-run").out
    assert states(store) == [DEAD, DELIVERED, PENDING]
    assert coachsync.json(*retry, "--job", "1-1") == {"meant": 1, "retried": 1, "dryRun": False}
    assert "1 of 1 will be sent again." in coachsync(*retry, delivered, delivered).out
    assert coachsync.json(*retry, dead) == {"meant": 1, "retried": 0, "dryRun": False}
    assert states(store) == [PENDING] * 3


def test_many_are_sent_again_portion_by_portion(store: Database, coachsync: Command) -> None:
    make_endpoint(store)
    set_deliveries(store, *tell_some(store, 501), state=DEAD)
    assert coachsync.json(*DELIVERIES, "retry", "--endpoint", "ep_1") == {
        "meant": 501,
        "retried": 501,
        "dryRun": False,
    }
    assert left(store) == 501


@on_both
def test_a_recovery_says_what_it_sends_and_what_it_leaves_alone(
    store: Database, coachsync: Command, told: list[int]
) -> None:
    make_endpoint(store, "ep_2")
    recover = ("webhooks", "recover")
    assert coachsync.json(*recover, "ep_1", "--since", "1h", "--dry-run") == {
        "endpoint": "ep_1",
        "missing": 0,
        "dead": 1,
        "delivered": 1,
        "pending": 1,
        "dryRun": True,
    }
    said = coachsync(*recover, "ep_2", "--since", "1h", "--type", "target.*").out
    assert "1 will be sent: 1 it never got, 0 that were set aside." in said
    assert "Left alone: 0 it has, 0 on their way." in said
    assert states(store, "ep_2") == [PENDING]
    later = coachsync.json(*recover, "ep_2", "--since", "2h", "--until", "1h")
    assert (later["missing"], later["dead"], later["pending"]) == (0, 0, 0)
    set_endpoint(store, "ep_1", state=DISABLED)
    assert coachsync.json(*recover, "ep_1", "--since", "1h", "--dry-run")["dead"] == 1
    set_endpoint(store, "ep_1", state=ENABLED)
    assert coachsync.json(*recover, "ep_1", "--since", "1h")["dead"] == 1
    assert [one.state for one in deliveries_of(store, "ep_1")] == [PENDING, DELIVERED, PENDING]
    assert told[0] == deliveries_of(store)[0].id


def test_the_types_are_listed_with_what_they_tell(coachsync: Command) -> None:
    rows = {one["type"]: one["fields"] for one in coachsync.json("webhooks", "types")}
    assert set(rows) == set(EventType)
    assert "previousTotalAgentQuota" in rows["quota.changed"]
    assert "batch.completed" in coachsync("webhooks", "types").out


# Secrets and keys


@on_both
def test_secrets_are_shown_once_and_in_no_later_output_and_are_sealed_in_the_database(
    store: Database, coachsync: Command, receiver: Receiver
) -> None:
    made = create(coachsync, f"{receiver.url}/a")
    secrets = [made["secret"], coachsync.json(*ENDPOINTS, "rotate", made["endpoint"])["secret"]]
    pair = coachsync.json(*ENDPOINTS, "rotate", made["endpoint"], "--asymmetric")
    assert "whsk_" not in str(pair)
    tell_some(store, 1)
    later = [
        (*ENDPOINTS, "list"),
        (*ENDPOINTS, "show", made["endpoint"]),
        (*ENDPOINTS, "update", made["endpoint"], "--rate", 3),
        (*ENDPOINTS, "test", made["endpoint"]),
        (*DELIVERIES, "list"),
        (*DELIVERIES, "show", deliveries_of(store)[0].id),
        ("webhooks", "reseal"),
    ]
    ending = [(*ENDPOINTS, verb, made["endpoint"]) for verb in ("pause", "resume", "delete")]
    for argv in [*later, *((*one, "--json") for one in later), *ending]:
        said = coachsync(*argv)
        assert "whs" not in said.out + said.err
        assert not any(secret.partition("_")[2] in said.out + said.err for secret in secrets)


def sealed(store: Database) -> list[str]:
    with store.read() as session:
        return list(session.execute(select(endpoint_secrets.c.sealed).order_by(endpoint_secrets.c.id)).scalars())


def test_a_key_is_replaced_by_sealing_all_secrets_anew(
    store: Database, coachsync: Command, receiver: Receiver, tmp_path: Path
) -> None:
    made = create(coachsync, f"{receiver.url}/a")
    coachsync(*ENDPOINTS, "rotate", made["endpoint"])
    before = sealed(store)
    both, new = (command_on(store, tmp_path, webhook_key=keys) for keys in (f"{SECOND},{FIRST}", SECOND))
    refused = new("webhooks", "reseal", code=2)
    assert "give the key it was sealed with, after the new one, in COACHSYNC_WEBHOOK_KEY" in refused.err
    assert sealed(store) == before
    assert "cannot be decrypted" in new(*ENDPOINTS, "test", made["endpoint"], code=1).err
    assert both.json("webhooks", "reseal") == {"resealed": 2}
    assert not set(sealed(store)) & set(before)
    new(*ENDPOINTS, "test", made["endpoint"])
    assert Webhook(made["secret"]).verify(receiver.got[-1].body, dict(receiver.got[-1].headers))
    assert "2 secrets are encrypted with the first key." in new("webhooks", "reseal").out
    assert "cannot be decrypted" in coachsync(*ENDPOINTS, "test", made["endpoint"], code=1).err


def test_a_secret_that_has_retired_under_a_lost_key_keeps_nobody_from_sealing_anew(
    store: Database, coachsync: Command, tmp_path: Path
) -> None:
    name = create(coachsync)["endpoint"]
    new = command_on(store, tmp_path, webhook_key=SECOND)
    new(*ENDPOINTS, "rotate", name, "--overlap", "0s")
    assert new.json("webhooks", "reseal") == {"resealed": 1}


def test_without_a_key_one_is_made_in_the_home_for_its_owner_alone(
    store: Database, coachsync: Command, receiver: Receiver, tmp_path: Path
) -> None:
    del coachsync
    plain = command_on(store, tmp_path)
    name = create(plain, f"{receiver.url}/a")["endpoint"]
    assert (tmp_path / "webhook.key").stat().st_mode & 0o777 == 0o600
    plain(*ENDPOINTS, "test", name)


# The process that sends


def test_deliver_sends_until_it_is_stopped_exits_0_and_logs_no_secret(
    store: Database, coachsync: Command, receiver: Receiver, tmp_path: Path
) -> None:
    made = create(coachsync, f"{receiver.url}/a")
    gone = create(coachsync, f"{receiver.url}/gone")
    receiver.scripts["gone"] = lambda _: Answer(410)
    tell_some(store, 3)
    log = tmp_path / "deliver.log"
    environ = {**coachsync.environ, "PATH": "/usr/bin:/bin", "COACHSYNC_CONFIG": str(tmp_path / "coachsync.toml")}
    process = processes.spawn([sys.executable, "-m", "worker.cli", "webhooks", "deliver"], log, env=environ)
    try:
        processes.wait_until(lambda: left(store) == 0, "all is delivered", seconds=90)
    finally:
        code = processes.end(process)
    text = log.read_text()
    assert code == 0, text
    for got in receiver.at("a"):
        assert Webhook(made["secret"]).verify(got.body, dict(got.headers))
    assert len(set(receiver.ids("a"))) == 4, "and that the other one is gone"
    assert "endpoint_disabled" in text
    assert not any(one["secret"].partition("_")[2] in text for one in (made, gone))
    assert "Traceback" not in text
    with store.read() as session:
        owners = [one.owner_until for one in endpoints.list_all(session)]
    assert all(one and one < utc_now() + timedelta(seconds=1.5) for one in owners)
