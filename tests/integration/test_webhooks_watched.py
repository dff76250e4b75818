"""`coachsync status` and `doctor` say when the world is not told, and why."""

from pathlib import Path

from tests.integration.cli_rig import Command, command_on
from tests.integration.store_rig import applied, job_of, take_one, wish, write
from tests.services.stores import on_sqlite
from worker.store import endpoints
from worker.store.engine import Database
from worker.store.heartbeats import DELIVERER, beat

pytestmark = on_sqlite

URL = "https://hooks.example.com/coaching"


def _found(coachsync: Command) -> dict[str, tuple[str, str]]:
    rows = {one["what"]: (one["health"], one["found"]) for one in coachsync.json("doctor", code=1)}
    return {what: rows[what] for what in ("webhooks", "deliverer") if what in rows}


def test_messages_that_nobody_sends_are_told_with_the_remedy(store: Database, coachsync: Command) -> None:
    made = coachsync.json("webhooks", "endpoints", "create", URL)["endpoint"]
    write(store, applied(take_one(store, job_of(store, wish(1)))))

    said = coachsync.json("status")

    assert "nobody seen who sends webhooks, and 2 messages wait: start `coachsync webhooks deliver`" in said["verdict"]
    assert said["webhooks"] == {"deliverers": [], "endpoints": {"enabled": 1}, "pending": 2, "dead": 0}
    assert (
        "Webhooks: endpoints 1 enabled; messages 2 waiting, 0 set aside; deliverers none seen"
        in coachsync("status").out
    )
    with store.write() as session:
        beat(session, "here:1", DELIVERER)
    assert "nobody seen who sends" not in coachsync.json("status")["verdict"]
    coachsync("webhooks", "endpoints", "pause", made)
    with store.write() as session:
        endpoints.change(session, made, {"state": "disabled", "disabled_reason": "it answered 410 Gone"})
    assert f"the endpoint {made} is disabled: it answered 410 Gone" in coachsync.json("status")["verdict"]


def test_the_doctor_tries_the_keys_and_looks_for_who_sends(store: Database, coachsync: Command, tmp_path: Path) -> None:
    assert _found(coachsync) == {"deliverer": ("ok", "none seen; there is nobody to tell")}
    coachsync.json("webhooks", "endpoints", "create", URL)
    readable = ("ok", "1 secret can be read")
    assert _found(coachsync) == {"webhooks": readable, "deliverer": ("warning", "none seen; nobody is told")}
    with store.write() as session:
        beat(session, "here:1", DELIVERER)
    assert _found(coachsync) == {"webhooks": readable, "deliverer": ("ok", "1 seen")}
    other = command_on(store, tmp_path, webhook_key="k" * 32)
    assert _found(other)["webhooks"] == ("broken", "a webhook secret cannot be decrypted with the keys at hand")
