"""A backup taken under load is one moment of the database, and works once it is restored: with the page's commands."""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import make_url, select, text

from tests.integration.store_rig import assert_adds_up, job_of, offer, settle, wish
from tests.services.postgres import _binaries
from tests.services.processes import wait_until
from worker.store import schema
from worker.store.engine import Database
from worker.store.history import installation_salt
from worker.store.tables import batches

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
