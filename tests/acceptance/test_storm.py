"""All that can go wrong, at once, on both databases; then a ledger of what was promised.

The short storm runs with the suite, both databases side by side; the whole one, in which each mischief strikes several
times, with `make chaos`. A seed makes it: COACHSYNC_TEST_SEED, or one that is printed.
"""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.books import Books, Line
from tests.acceptance.chaos import ONLY_IN_CHAOS, ROWS
from tests.acceptance.installation import Config, installed
from tests.acceptance.ledger import CHECKS
from tests.acceptance.receivers import receivers
from tests.acceptance.storm import Storm
from tests.acceptance.story import Plan
from tests.acceptance.year import COLUMNS, PROFILE, policy_file
from tests.services.postgres import PostgresServer
from tests.services.valkey import ValkeyServer

SEED = os.environ.get("COACHSYNC_TEST_SEED")  # noqa: TID251 - tells the tests, not the code, which storm it is to be
SHORT = Plan(seed=20_260_131, rows=300, agents=40, fortnights=1, wishes=60, rate=80)
WHOLE = Plan(seed=0, rows=int(ROWS or 0) // 4, agents=120, fortnights=4, wishes=200, rate=120, rounds=3, absurd=True)
ENGINES = ("sqlite", "postgres")
SETTINGS = '[webhooks]\nallow_http = true\nallow = ["127.0.0.1"]\n'

Ledgers = dict[str, list[Line]]


@pytest.fixture(
    scope="module", params=[pytest.param(SHORT, id="short"), pytest.param(WHOLE, id="whole", marks=ONLY_IN_CHAOS)]
)
def ledgers(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, own_restartable_postgres_url: str
) -> Iterator[Ledgers]:
    """A whole storm has the machine to itself."""
    short = request.param is SHORT
    plan = replace(request.param, seed=int(SEED or request.param.seed or int.from_bytes(os.urandom(4))))
    say = partial(_say, request.config.pluginmanager.getplugin("capturemanager"))
    say(f"a storm of COACHSYNC_TEST_SEED={plan.seed}")
    with ExitStack() as stack:
        on_sqlite = stack.enter_context(_storm(plan, None, None))
        on_postgres = stack.enter_context(_storm(plan, postgres_server, own_restartable_postgres_url))
        beside = stack.enter_context(ThreadPoolExecutor(1))
        one = beside.submit(_ledger, on_sqlite)
        if not short:
            one.result()
        other = _ledger(on_postgres)  # in this thread: a server dies with the one that has started it
        found = dict(zip(ENGINES, (one.result(), other), strict=True))
        for engine, lines in found.items():
            say("\n  ".join([engine, *map(str, lines)]))
        yield found


def _say(capture: Any, text: str) -> None:
    with capture.global_and_fixture_disabled():
        print(f"\n{text}")  # noqa: T201 - so that the storm can be had again, and its figures quoted


@contextmanager
def _storm(plan: Plan, server: PostgresServer | None, database_url: str | None) -> Iterator[Storm]:
    """On SQLite we read before a doubtful write, on PostgreSQL we rest on the keys."""
    with tempfile.TemporaryDirectory(prefix="coachsync-storm-") as name, receivers() as those, ExitStack() as stack:
        folder = Path(name)
        (folder / "coachsync.toml").write_text(_settings())
        valkey = ValkeyServer(folder)
        stack.callback(valkey.stop)
        url = database_url or f"sqlite:///{folder / 'coachsync.db'}"
        keys = "header" if server else "read"
        config = Config(url, rate_limit=f"{plan.rate}/second", idempotency=keys, targets=plan.targets)
        yield Storm(stack.enter_context(installed(config, folder, valkey)), plan, those, server)


def _ledger(storm: Storm) -> list[Line]:
    """Its fleet ends with it."""
    try:
        books = Books(storm.ride_out(), storm.site, storm.receivers)
        return [check(books) for check in CHECKS]
    finally:
        storm.site.stop_all()


def _settings() -> str:
    columns = "\n".join(f'{ours} = "{theirs}"' for ours, theirs in COLUMNS.items())
    return f'[roster]\nprofile = "{PROFILE}"\n\n[roster.columns]\n{columns}\n{policy_file()}\n{SETTINGS}'


@pytest.mark.parametrize("promise", [check.__name__.strip("_") for check in CHECKS])
@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_kept(ledgers: Ledgers, engine: str, promise: str) -> None:
    line = ledgers[engine][[check.__name__.strip("_") for check in CHECKS].index(promise)]
    assert not line.broken, str(line)
