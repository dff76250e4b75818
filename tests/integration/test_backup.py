"""A backup taken under load is one moment of the database, and works once it is restored: with the page's commands."""

import asyncio
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import make_url, select, text

from schemas.policy import Policy
from tests.integration.executor_rig import Rig, rigged
from tests.integration.executor_rig import wish as target_wish
from tests.integration.oversight_rig import Centre, Overseen
from tests.integration.store_rig import assert_adds_up, job_of, offer, settle, wish
from tests.integration.webhook_rig import make_endpoint, messages
from tests.services.postgres import _binaries
from tests.services.processes import wait_until
from worker.store import schema
from worker.store.engine import Database
from worker.store.history import installation_salt
from worker.store.tables import batches, drifts

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "back-up-and-restore.md").read_text()
VACUUM = re.findall(r'"(VACUUM INTO \'.*\')"', PAGE)
NEW_SALT = {words.rpartition("-- ")[2].strip().lower(): words.partition(";")[0].strip()
            for words in re.findall(r"^ *(UPDATE installation.*)$", PAGE, re.MULTILINE)}  # fmt: skip


@contextmanager
def load(store: Database) -> Iterator[list[int]]:
    """Somebody keeps accepting and carrying out; the batches that are committed."""
    done: list[int] = []
    over = Event()

    def work() -> None:
        while not over.is_set():
            number = len(done)
            settle(store, wish(number))
            done.append(offer(store, *(wish(f"{number}-{one}") for one in range(20))).batch_id)

    worker = Thread(target=work)
    worker.start()
    try:
        yield done
    finally:
        over.set()
        worker.join()


def backed_up_under_load(store: Database, back_up: Callable[[], object]) -> list[int]:
    """The batches that were committed before the backup began."""
    with load(store) as done:
        wait_until(lambda: len(done) > 2, "some work is done")
        before = list(done)
        back_up()
        wait_until(lambda: len(done) > len(before), "work goes on")
    return before


def assert_whole(restored: Database, committed: list[int]) -> None:
    with restored.read() as session:
        found = {row.id: row.accepted for row in session.execute(select(batches))}
    assert all(found[batch] == 20 for batch in committed)
    assert_adds_up(restored)
    assert schema.upgrade(restored) == (schema.newest(), schema.newest())


def assert_at_work(restored: Database, dialect: str) -> None:
    """With a new salt, it goes on."""
    with restored.write() as session:
        before = installation_salt(session)
        session.execute(text(NEW_SALT[dialect]))
        assert len({before, installation_salt(session)}) == 2
    assert job_of(restored, wish("after-the-restore"))
    assert_adds_up(restored)


def test_a_sqlite_database_is_backed_up_under_load_and_restored(sqlite_store: Database, tmp_path: Path) -> None:
    backup, home = tmp_path / "backup.db", tmp_path / "home"
    (statement,) = VACUUM

    def back_up() -> None:
        reader = sqlite3.connect(str(make_url(sqlite_store.url).database))
        reader.execute(re.sub(r"'.*'", f"'{backup}'", statement))
        reader.close()

    committed = backed_up_under_load(sqlite_store, back_up)
    assert not backup.with_name("backup.db-wal").exists()
    home.mkdir()
    restored = Database(f"sqlite:///{shutil.copy(backup, home / 'coachsync.db')}")
    with restored.read() as session:
        assert session.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    assert_whole(restored, committed)
    assert_at_work(restored, "sqlite")
    restored.close()


def _postgres_program(name: str) -> str:
    """Of the server's own version: an older pg_dump refuses a newer server."""
    beside = _binaries() / name
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or pytest.skip(f"there is no {name} on this machine")


def _libpq(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.mark.postgres
def test_a_postgresql_database_is_backed_up_under_load_and_restored(
    postgres_store: Database, postgres_url: str, tmp_path: Path
) -> None:
    dump = tmp_path / "coachsync.dump"
    assert "pg_dump --format=custom --file=" in PAGE
    assert "pg_restore --no-owner --exit-on-error --dbname=" in PAGE

    def run(program: str, *arguments: str) -> None:
        done = subprocess.run([_postgres_program(program), *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    committed = backed_up_under_load(
        postgres_store, lambda: run("pg_dump", "--format=custom", f"--file={dump}", _libpq(postgres_store.url))
    )
    run("pg_restore", "--no-owner", "--exit-on-error", f"--dbname={_libpq(postgres_url)}", str(dump))
    restored = Database(postgres_url)
    assert_whole(restored, committed)
    assert_at_work(restored, "postgresql")
    restored.close()


def test_after_an_older_backup_what_is_applied_again_is_told_anew_and_a_reconciliation_shows_what_is_not(
    sqlite_store: Database, tmp_path: Path
) -> None:
    """The job has the id of the one that was lost. With the new salt no receiver takes its message for that one's."""

    async def scene() -> None:
        async with rigged(sqlite_store) as rig:
            overseen = Overseen(Centre(sqlite_store, policy=Policy()), rig)
            make_endpoint(sqlite_store)
            await _applied(rig, {1: 81.5, 2: 50.5})
            _copy(_path_of(sqlite_store), tmp_path / "backup.db")
            lost = await _applied(rig, {1: 90.0, 2: 70.0})
            told = {message.job_id: message.id for message in messages(sqlite_store)}

            _copy(tmp_path / "backup.db", _path_of(sqlite_store))
            with sqlite_store.write() as session:
                session.execute(text(NEW_SALT["sqlite"]))
            again = await _applied(rig, {1: 90.0})
            assert again == lost[:1]
            assert {message.job_id: message.id for message in messages(sqlite_store)}[again[0]] != told[lost[0]]
            await overseen.pass_over()
            assert _open_drifts(sqlite_store) == [("50.5", "70", "changed", "observed")]
            assert (rig.value(1), rig.value(2)) == (90.0, 70.0), "nothing is overwritten meanwhile"

            await _applied(rig, {2: 70.0})
            await overseen.pass_over()
            assert _open_drifts(sqlite_store) == []
            assert_adds_up(sqlite_store)

    asyncio.run(scene())


async def _applied(rig: Rig, values: Mapping[int, float]) -> list[int]:
    ids = list(rig.accept(*(target_wish(number, value) for number, value in values.items())))
    await rig.run(*ids)
    return ids


def _open_drifts(store: Database) -> list[tuple[str, str, str, str]]:
    columns = drifts.c
    query = select(columns.wanted, columns.found, columns.kind, columns.action).where(columns.closed_at.is_(None))
    with store.read() as session:
        return [tuple(row) for row in session.execute(query)]


def _path_of(store: Database) -> Path:
    return Path(str(make_url(store.url).database))


def _copy(source: Path, target: Path) -> None:
    """All of the one takes the place of all of the other, in one transaction."""
    with closing(sqlite3.connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
