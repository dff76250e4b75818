"""The world is told, whatever dies: outcomes fanned out to five endpoints, of which one works, one is slow, one fails
half of the time, one hangs and one is gone; deliverers and a worker are killed meanwhile, and a secret is replaced.

Where COACHSYNC_TEST_ROWS asks for it (`make chaos`), 20,000 outcomes. With the suite the short storm (test_storm.py)
checks the same claims.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from schemas.jobs import JobState
from schemas.webhooks import EventType
from tests.acceptance.chaos import ONLY_IN_CHAOS, ROWS
from tests.acceptance.installation import Config, Installation, installed, wait_until
from tests.acceptance.receivers import FAILING, GONE, HANGING, HEALTHY, SLOW, Receivers, receivers
from tests.acceptance.wishes import wish
from tests.services.valkey import ValkeyServer
from worker.store.outbox import DELIVERED, DISABLED, PENDING
from worker.store.tables import deliveries, endpoints, jobs, messages

pytestmark = list(ONLY_IN_CHAOS)

ROUNDS = 2  # outcomes a target: of each the second must not come before the first
CONCURRENCY = {HEALTHY: "20", SLOW: "50", FAILING: "20", HANGING: "10", GONE: "5"}
ALLOWED = '[webhooks]\nallow_http = true\nallow = ["127.0.0.1"]\n'


@dataclass
class Lived:
    """What there is to judge. ``endpoint`` ids by kind, ``secrets`` of the healthy one, the old one first."""

    installation: Installation
    receivers: Receivers
    targets: int
    endpoint: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def lived(own_postgres_url: str) -> Iterator[Lived]:
    with tempfile.TemporaryDirectory(prefix="coachsync-webhooks-") as name, receivers() as those:
        folder = Path(name)
        (folder / "coachsync.toml").write_text(ALLOWED)
        valkey = ValkeyServer(folder)
        try:
            config = Config(own_postgres_url, rate_limit="1000/second")
            with installed(config, folder, valkey) as installation:
                yield _live(Lived(installation, those, targets=int(ROWS or 0)))
        finally:
            valkey.stop()


def _live(lived: Lived) -> Lived:
    installation, patience = lived.installation, 120 + lived.targets / 25
    installation.start_all()
    deliverers = [installation.start_deliverer(f"deliverer-{number}") for number in (1, 2)]
    for kind in (HEALTHY, SLOW, FAILING, HANGING, GONE):
        _make_endpoint(lived, kind)
    for number in range(ROUNDS):
        batch = installation.accept(wish(target, 10.25 + number) for target in range(lived.targets))
        under_way = lived.targets // 4 + number * lived.targets
        wait_until(partial(_has_got, lived, under_way), "some have arrived", seconds=patience)
        deliverers[number].kill("SIGKILL")
        installation.started["worker-1"].kill("SIGKILL")
        if number == 0:
            printed = installation.coachsync("webhooks", "endpoints", "rotate", lived.endpoint[HEALTHY], "--json")[1]
            lived.secrets.append(json.loads(printed)["secret"])
        installation.revive()
        installation.await_end(batch, seconds=patience)
    left = [lived.endpoint[kind] for kind in (HEALTHY, SLOW, FAILING)]
    wait_until(lambda: _pending(installation, left) == 0, "all that works has got all", seconds=patience)
    return lived


def _has_got(lived: Lived, count: int) -> bool:
    return len(lived.receivers.got) > count


def _make_endpoint(lived: Lived, kind: str) -> None:
    more = ["--ordered", "--type", "target.*"] if kind == HEALTHY else []
    code, printed = lived.installation.coachsync(
        "webhooks",
        "endpoints",
        "create",
        f"{lived.receivers.url}/{kind}",
        "--concurrency",
        CONCURRENCY[kind],
        *more,
        "--json",
    )
    assert code == 0, printed
    made = json.loads(printed)
    lived.endpoint[kind] = made["endpoint"]
    if kind == HEALTHY:
        lived.secrets.append(made["secret"])


def _pending(installation: Installation, ids: list[str]) -> int:
    with installation.runtime.database.read() as session:
        query = select(func.count()).select_from(deliveries)
        waiting = query.where(deliveries.c.endpoint_id.in_(ids), deliveries.c.state == PENDING)
        return int(session.execute(waiting).scalar_one())


def test_the_one_that_works_has_exactly_the_outcomes_once_without_those_that_came_twice(lived: Lived) -> None:
    with lived.installation.runtime.database.read() as session:
        query = select(messages.c.id).where(messages.c.type == EventType.TARGET_UPDATED)
        told = set(session.execute(query).scalars())
        ended = session.execute(
            select(func.count()).select_from(jobs).where(jobs.c.state == JobState.SUCCEEDED)
        ).scalar_one()
    assert {one.id for one in lived.receivers.got} == told
    assert len(told) == ended == ROUNDS * lived.targets


def test_of_each_resource_it_got_them_in_order(lived: Lived) -> None:
    values, seen = defaultdict[str, list[float]](list), set[str]()
    for one in lived.receivers.got:
        if one.id not in seen:
            seen.add(one.id)
            data = json.loads(one.body)["data"]
            values[data["name"]].append(data["target"])
    assert len(values) == lived.targets
    assert set(map(tuple, values.values())) == {(10.25, 11.25)}


def test_the_official_library_verifies_every_message_with_one_secret_or_the_other(lived: Lived) -> None:
    old, new = lived.secrets
    both = 0
    for one in lived.receivers.got:
        assert one.verifies(old)  # which signs until the overlap is over
        if len(one.signatures) == 2:
            assert one.verifies(new)
            both += 1
    assert both >= lived.targets, "since the rotation both sign"


def test_nothing_is_lost(lived: Lived) -> None:
    """Each message that an endpoint asks for has its delivery: arrived, on its way, or set aside with a reason."""
    with lived.installation.runtime.database.read() as session:
        all_messages = session.execute(select(func.count()).select_from(messages)).scalar_one()
        rows = session.execute(
            select(deliveries.c.endpoint_id, deliveries.c.state, func.count(), func.count(deliveries.c.error)).group_by(
                deliveries.c.endpoint_id, deliveries.c.state
            )
        ).all()
    counts = {(endpoint, state): number for endpoint, state, number, _ in rows}
    assert all(number == told for _, state, number, told in rows if state == "dead"), "each says why"
    for kind in (SLOW, FAILING):
        assert counts[lived.endpoint[kind], DELIVERED] == all_messages
    hanging = [counts.get((lived.endpoint[HANGING], state), 0) for state in (PENDING, DELIVERED)]
    assert hanging == [all_messages, 0]


def test_the_one_that_is_gone_is_disabled_once_and_left_alone(lived: Lived) -> None:
    with lived.installation.runtime.database.read() as session:
        gone = session.execute(select(endpoints).where(endpoints.c.id == lived.endpoint[GONE])).one()
        told = session.execute(
            select(func.count()).select_from(messages).where(messages.c.type == EventType.ENDPOINT_DISABLED)
        ).scalar_one()
    assert (gone.state, told) == (DISABLED, 1)
    assert lived.receivers.requests[GONE] <= int(CONCURRENCY[GONE])


def test_the_one_that_hangs_is_asked_singly_once_its_circuit_is_open(lived: Lived) -> None:
    assert 10 <= lived.receivers.requests[HANGING] <= 10 + 2 * int(CONCURRENCY[HANGING])
