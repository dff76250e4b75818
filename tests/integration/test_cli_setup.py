"""What an installation is set up with: `doctor` finds troubles and remedies, `config` shows, `db upgrade` migrates."""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import text

from api_adapter.sandbox.background import background_sandbox
from api_adapter.sandbox.options import SandboxOptions
from tests.integration.cli_rig import NOBODY, Command
from tests.integration.store_rig import job_of, wish
from tests.services import processes
from tests.services.stores import on_both, on_sqlite
from worker.store import schema
from worker.store.engine import Database, database_now
from worker.store.heartbeats import beat
from worker.store.models import Heartbeat
from worker.store.schema import NewerSchema
from worker.telemetry.pulse import Part, Pulse, PulseWriter
from worker.telemetry.slots import take_slot

pytestmark = on_sqlite

AWAY = "http://127.0.0.1:1"
UPGRADE = "run `coachsync db upgrade`"
PUBLIC = "postgresql://reader:hush@127.0.0.1:1/coaching"


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    """A database that nobody has upgraded yet."""
    with closing(Database(database_url)) as database:
        yield database


@pytest.fixture
def newer(tmp_path: Path) -> Iterator[Database]:
    """A database that a newer program has upgraded."""
    with closing(Database(f"sqlite:///{tmp_path / 'newer.db'}")) as database:
        schema.upgrade(database)
        with database.write() as session:
            session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        yield database


def but(command: Command, **settings: str | None) -> Command:
    """The same command with other settings; None leaves one out."""
    changed = {f"COACHSYNC_{name.upper()}": value for name, value in settings.items()}
    return Command({name: value for name, value in {**command.environ, **changed}.items() if value is not None})


def examined(command: Command, code: int = 1) -> dict[str, tuple[str, str, str]]:
    """Health, what was found and the remedy, by what was examined."""
    rows = command.json("doctor", code=code)
    assert all(set(row) == {"what", "health", "found", "remedy"} for row in rows)
    return {row["what"]: (row["health"], row["found"], row["remedy"]) for row in rows}


def start_loops(store: Database) -> None:
    with store.write() as session:
        beat(session, "here:1", "loops")


# doctor


def test_where_all_is_in_place_the_doctor_finds_nothing_to_do_and_ends_with_0(
    store: Database, coachsync: Command, valkey: str, tmp_path: Path
) -> None:
    start_loops(store)
    with background_sandbox(SandboxOptions(targets=0)) as sandbox, kept_over_a_restart(valkey):
        whole = but(coachsync, broker_url=valkey, api_url=sandbox.url)
        command = [sys.executable, "-m", "worker.cli", "worker", "-c", "1"]
        worker = processes.spawn(command, tmp_path / "worker.log", env=dict(whole.environ))
        found: dict[str, tuple[str, str, str]] = {}

        def well() -> bool:
            found.update(examined(whole, 0))
            return found["broker"][0] == "ok"

        processes.wait_until(well, "the worker answers", seconds=90)
        processes.end(worker, signal.SIGKILL)
        assert {operation for operation, _ in sandbox.ledger.counts()} == {"get_target"}
    assert {health for health, _, _ in found.values()} == {"ok"}
    assert {remedy for *_, remedy in found.values()} == {""}
    order = ["settings", "database", "home", "broker", "loops", "deliverer", "gateway", "remote default"]
    assert list(found) == order
    assert found["database"][1] == f"schema {schema.newest()}, clock agrees"
    assert found["loops"][1] == "1 seen"
    assert found["broker"][1].endswith(", 1 worker answers")
    assert found["remote default"][1].startswith(f"{sandbox.url} answers in ")


def test_people_see_a_table_with_the_remedy_beside_the_trouble(coachsync: Command) -> None:
    heading, *lines = coachsync("doctor", code=1).out.splitlines()
    assert heading.split() == ["what", "health", "found", "remedy"]
    (broker,) = (line for line in lines if line.startswith("broker"))
    assert broker.split()[1] == "broken"
    assert broker.rstrip().endswith("check COACHSYNC_BROKER_URL, and that the server runs")


def test_a_database_without_tables_is_told_to_be_upgraded_and_then_is_well(empty: Database, coachsync: Command) -> None:
    here = but(coachsync, database_url=empty.url)
    found = f"schema at nothing, {schema.newest()} is needed"
    assert examined(here)["database"] == ("broken", found, UPGRADE)
    here("db", "upgrade")
    start_loops(empty)
    assert examined(here)["database"][0] == "ok"


@on_both
def test_loops_that_nobody_runs_are_a_warning(store: Database, coachsync: Command) -> None:
    with store.write() as session:
        beat(session, "here:1", "other")
    assert examined(coachsync)["loops"] == ("warning", "no loops seen", "start `coachsync loops` or `up`")


def test_loops_that_are_dead_while_work_waits_are_broken(store: Database, coachsync: Command) -> None:
    start_loops(store)
    assert examined(coachsync)["loops"] == ("ok", "1 seen", "")
    job_of(store, wish(1))
    with store.write() as session:
        session.get_one(Heartbeat, "here:1").seen_at = database_now(session) - timedelta(minutes=5)
    health, found, remedy = examined(coachsync)["loops"]
    assert (health, remedy) == ("broken", "start `coachsync loops` or `up`")
    assert re.fullmatch(r"no loops seen for 5 min 0\d s, and 1 job waits", found)


@pytest.mark.parametrize(
    ("url", "why"),
    [(PUBLIC, "Connection refused"), ("sqlite:////nowhere/x.db", "unable to open database file")],
    ids=["no server", "no folder"],
)
def test_a_database_that_is_away_is_one_finding_and_the_others_are_examined_all_the_same(
    coachsync: Command, url: str, why: str
) -> None:
    found = examined(but(coachsync, database_url=url))
    health, told, remedy = found["database"]
    assert (health, remedy) == ("broken", "check COACHSYNC_DATABASE_URL, and that the server runs")
    assert why in told
    assert "hush" not in told
    assert list(found) == ["settings", "database", "home", "broker", "gateway", "remote default"]


@pytest.mark.postgres
def test_clocks_that_disagree_are_a_warning(postgres_url: str, coachsync: Command) -> None:
    with closing(Database(postgres_url)) as ahead:
        schema.upgrade(ahead)
        start_loops(ahead)
        with ahead.write() as session:
            session.execute(text("CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
                                 "'SELECT pg_catalog.clock_timestamp() + interval ''90 s'''"))  # fmt: skip
            name = session.execute(text("SELECT current_database()")).scalar_one()
            session.execute(text(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog'))
    health, found, remedy = examined(but(coachsync, database_url=postgres_url))["database"]
    assert (health, remedy) == ("warning", "synchronise both machines' clocks (NTP)")
    assert found in [f"its clock and ours are {seconds} s apart" for seconds in (89, 90, 91)]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that root cannot write either")
def test_a_home_that_cannot_be_written_is_broken(coachsync: Command) -> None:
    found = examined(but(coachsync, home="/proc/self"))["home"]
    assert found == ("broken", "/proc/self cannot be written", "name another in COACHSYNC_HOME")


def test_a_disk_that_is_nearly_full_is_a_warning(coachsync: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined(coachsync)["home"][0] == "ok"
    monkeypatch.setattr("worker.cli.doctor.LEAST_DISK", 1 << 60)
    assert examined(coachsync)["home"][::2] == ("warning", "make room: a full disk stops all")


def test_a_gateway_that_lacks_its_database_is_broken_and_none_is_no_trouble(coachsync: Command, tmp_path: Path) -> None:
    here = but(coachsync, home=str(tmp_path))
    assert examined(here)["gateway"] == ("ok", "none here; the HTTP door and the console need one", "")
    now = time.monotonic()
    slot = take_slot(tmp_path, "gateway")
    told = PulseWriter(
        slot.folder, Pulse(os.getpid(), socket.gethostname(), now, {"gateway": Part(60.0)}, {}), lambda: now
    )
    assert examined(here)["gateway"][:2] == ("broken", "gateway-0: the gateway has not passed yet")
    told.passed("gateway")
    assert examined(here)["gateway"] == ("ok", "1 here", "")
    told.lacks({"database": "no route"})
    assert examined(here)["gateway"][:2] == ("broken", "gateway-0: the database is away: no route")


@pytest.mark.parametrize(
    ("url", "remedy"),
    [(NOBODY, "check COACHSYNC_BROKER_URL, and that the server runs"), (None, "start `coachsync up`")],
    ids=["named", "embedded"],
)
def test_a_broker_that_is_away_is_broken(coachsync: Command, url: str | None, remedy: str) -> None:
    assert examined(but(coachsync, broker_url=url))["broker"][::2] == ("broken", remedy)


@contextmanager
def kept_over_a_restart(valkey: str, **more: str) -> Iterator[None]:
    """The server with other settings, while the block runs."""
    changed = {"appendonly": "yes", **more}
    with Redis.from_url(valkey, decode_responses=True) as server:
        before = {name: server.config_get(name)[name] for name in changed}
        for name, value in changed.items():
            server.config_set(name, value)
        yield
        for name, value in before.items():
            server.config_set(name, value)


@pytest.mark.parametrize(
    ("settings", "found", "remedy"),
    [
        ({"maxmemory-policy": "allkeys-lru"}, "may evict keys (allkeys-lru)", "set maxmemory-policy noeviction"),
        ({"appendonly": "no"}, "keeps nothing over a restart", "set appendonly yes"),
        ({}, "no worker answers", "start `coachsync worker` or `up`"),
    ],
    ids=["evicts", "forgets", "no worker"],
)
def test_a_broker_that_is_there_but_not_as_it_should_be_is_a_warning(
    coachsync: Command, valkey: str, settings: Mapping[str, str], found: str, remedy: str
) -> None:
    with kept_over_a_restart(valkey, **settings):
        health, told, todo = examined(but(coachsync, broker_url=valkey))["broker"]
    assert (health, told.endswith(found), todo.startswith(remedy)) == ("warning", True, True)


def test_a_remote_that_is_away_is_broken(coachsync: Command) -> None:
    health, found, remedy = examined(coachsync)["remote default"]
    assert (health, remedy) == ("broken", "check its URL, the network, and its status page")
    assert found.startswith(f"{AWAY}: not sent: ")


def test_a_remote_that_does_not_let_us_in_is_broken_and_the_token_is_not_shown(coachsync: Command) -> None:
    with background_sandbox(SandboxOptions(targets=0, token="open-sesame-4711")) as sandbox:
        stranger = but(coachsync, api_url=sandbox.url, api_token="wrong-token-0815")
        health, found, remedy = examined(stranger)["remote default"]
        assert (health, remedy) == ("broken", "renew the token it is given (see `coachsync config`)")
        assert found.startswith(f"{sandbox.url} does not let us in: ")
        assert "0815" not in stranger("doctor", code=1).out
        friend = but(stranger, api_token="open-sesame-4711")
        assert examined(friend)["remote default"][0] == "ok"


def test_each_remote_is_examined_and_having_none_is_broken(coachsync: Command, tmp_path: Path) -> None:
    nowhere = but(coachsync, api_url=None)
    todo = "set COACHSYNC_API_URL, or a [remotes.NAME] in coachsync.toml"
    assert examined(nowhere)["remotes"] == ("broken", "none", todo)

    (tmp_path / "coachsync.toml").write_text(f"[remotes.emea]\napi_url = '{AWAY}'\ncustomers = ['acme']\n")
    with background_sandbox(SandboxOptions(targets=0)) as sandbox:
        found = examined(but(coachsync, api_url=sandbox.url))
    assert {what: found[what][0] for what in found if "remote" in what} == {
        "remote emea": "broken",
        "remote default": "ok",
    }


def test_settings_that_cannot_be_used_are_found_one_by_one(coachsync: Command, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    wrong = but(coachsync, rate_limit="fast", ca_bundle="ca.pem")
    rows = wrong.json("doctor", code=1)
    assert {(row["what"], row["health"], row["remedy"]) for row in rows} == {
        ("settings", "broken", "see docs/reference/settings.md")
    }
    rate, bundle = sorted((row["found"] for row in rows), reverse=True)
    assert rate.startswith("COACHSYNC_RATE_LIMIT = 'fast' cannot be used")
    assert bundle.endswith("holds no certificate; give the path of a PEM file with those to trust")


# config


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Settings from everywhere, with secrets; there is no home yet."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text("key-in-a-file-4711\n")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "coachsync.toml").write_text(
        "rate_limit = '20/second'\nretention_days = 7\n"
        "[remotes.emea]\napi_url = 'https://emea.example.com'\ncustomers = ['acme', 'globex']\n"
        "max_in_flight = 5\napi_key_file = 'key'\n"
    )
    secret = {
        "COACHSYNC_API_TOKEN": "token-of-the-api-0815",
        "COACHSYNC_DATABASE_URL": PUBLIC,
        "COACHSYNC_BROKER_URL": "redis://:whisper@127.0.0.1:1/0",
    }
    plain = {
        "COACHSYNC_HOME": str(tmp_path / "home"),
        "COACHSYNC_API_URL": "https://api.example.com",
        "COACHSYNC_RETENTION_DAYS": "9",
    }
    return Command(secret | plain)


def test_config_says_of_each_value_where_it_came_from(configured: Command) -> None:
    rows = {row["name"]: (row["value"], row["origin"]) for row in configured.json("config")}
    assert rows["api_url"] == ("https://api.example.com", "environment COACHSYNC_API_URL")
    assert rows["retention_days"] == ("9", "environment COACHSYNC_RETENTION_DAYS")
    assert rows["rate_limit"] == ("20/second", "coachsync.toml line 1")
    assert rows["request_timeout"] == ("10s", "default")
    assert rows["remotes.emea.customers"] == ("acme, globex", "coachsync.toml line 5")
    assert rows["remotes.emea.max_in_flight"] == ("5", "coachsync.toml line 6")
    assert rows["remotes.emea.rate_limit"] == rows["rate_limit"]
    assert rows["remotes.emea.request_timeout"] == rows["request_timeout"]


def test_config_shows_no_secret_neither_to_people_nor_to_programs(configured: Command) -> None:
    rows = {row["name"]: row["value"] for row in configured.json("config")}
    assert rows["api_token"] == "••••15"
    assert rows["remotes.emea.api_key"] == "••••11"
    assert rows["database_url"] == "postgresql+psycopg://reader:••••@127.0.0.1:1/coaching"
    assert rows["broker_url"] == "redis://:••••@127.0.0.1:1/0"
    for said in (configured("config"), configured("config", "--json")):
        for secret in ("hush", "whisper", "token-of", "key-in"):
            assert secret not in said.out + said.err


def test_config_for_people_is_a_line_a_setting_with_the_same_values(configured: Command) -> None:
    rows = configured.json("config")
    heading, *lines = configured("config").out.splitlines()
    assert heading.split() == ["name", "value", "origin"]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line.split()[0] == row["name"]
        assert row["value"] in line
        assert line.rstrip().endswith(row["origin"])


def test_config_needs_nothing_to_be_there_and_makes_nothing(configured: Command, tmp_path: Path) -> None:
    configured("config")
    assert not (tmp_path / "home").exists()


# db upgrade


def test_an_upgrade_brings_an_empty_database_up_to_date_once(empty: Database, coachsync: Command) -> None:
    newest = schema.newest()
    here = but(coachsync, database_url=empty.url)
    check = ("db", "upgrade", "--check")

    assert here(*check, code=1).out == f"The schema is at nothing, {newest} is needed: coachsync db upgrade\n"
    assert here.json(*check, code=1) == {"before": None, "newest": newest, "current": False}
    assert schema.version(empty) is None

    assert here("db", "upgrade").out == f"The schema is at {newest} (was empty).\n"
    assert schema.version(empty) == newest
    assert here("db", "upgrade").out == here(*check).out == f"The schema is at {newest}.\n"
    assert here.json("db", "upgrade") == here.json(*check) == {"before": newest, "newest": newest, "current": True}


def test_a_command_on_a_database_without_tables_names_the_upgrade(empty: Database, coachsync: Command) -> None:
    told = but(coachsync, database_url=empty.url)("status", code=2).err
    assert told == "error: the database has no tables yet: run `coachsync db upgrade` (or `coachsync up`)\n"


@pytest.mark.parametrize("command", ["db upgrade", "db upgrade --check", "status", "loops", "targets list"])
def test_a_database_that_a_newer_program_has_upgraded_is_left_alone(
    newer: Database, coachsync: Command, command: str
) -> None:
    with pytest.raises(NewerSchema, match="at version 9999, newer than this program: run the coachsync that upgraded"):
        but(coachsync, database_url=newer.url)(*command.split())
    assert schema.version(newer) == "9999"


def test_an_upgrade_of_a_newer_database_is_refused_whoever_asks_for_it(newer: Database) -> None:
    with pytest.raises(NewerSchema):
        schema.upgrade(newer)


def test_the_doctor_says_which_program_a_newer_database_needs(newer: Database, coachsync: Command) -> None:
    found = examined(but(coachsync, database_url=newer.url))["database"]
    told = "the database is at version 9999, newer than this program"
    assert found == ("broken", told, "run the coachsync that upgraded it")
