"""The services keep their own promises, so that a red test elsewhere speaks about the code."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, text

from tests.services import processes
from tests.services.postgres import PostgresServer
from tests.services.sockets import LeftTheMachineError
from tests.services.valkey import ValkeyServer


def test_each_test_gets_an_empty_valkey_even_after_a_kill(valkey_server: ValkeyServer, valkey: str) -> None:
    with redis.Redis.from_url(valkey) as client:
        assert client.dbsize() == 0
        client.set("left", "over")
        valkey_server.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        valkey_server.restart()
        assert client.dbsize() == 0
    assert valkey_server.url == valkey


def test_a_frozen_valkey_keeps_the_connection_and_answers_nothing(valkey_server: ValkeyServer, valkey: str) -> None:
    with redis.Redis.from_url(valkey, socket_timeout=0.1) as client:
        client.ping()
        valkey_server.freeze()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        valkey_server.thaw()
        assert client.ping()


def test_each_test_gets_a_database_of_its_own_that_takes_rows(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1)"))
        assert connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 1
    engine.dispose()


@pytest.mark.postgres
def test_postgres_keeps_committed_rows_through_a_restart(postgres_server: PostgresServer) -> None:
    engine = create_engine(postgres_server.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept AS SELECT 1 AS n"))
    postgres_server.restart()
    engine.dispose()
    with engine.begin() as connection:
        assert connection.execute(text("SELECT n FROM kept")).scalar_one() == 1
        connection.execute(text("DROP TABLE kept"))
    engine.dispose()


def test_no_test_reaches_another_machine() -> None:
    with socket.socket() as outside, pytest.raises(LeftTheMachineError):
        outside.connect(("192.0.2.1", 80))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_service_dies_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys, time; from tests.services.processes import spawn;"
        "print(spawn(['sleep', '60'], pathlib.Path(sys.argv[1])), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        service = int(run.stdout.readline())
        run.send_signal(signal.SIGKILL)
    processes.wait_until(lambda: not _runs(service), f"process {service} is gone")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"
