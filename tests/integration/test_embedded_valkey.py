"""The embedded broker with the real server: private, durable, alone on its home, gone with its parent."""

import asyncio
import multiprocessing
import os
import signal
import stat
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import pytest
from kombu import Connection
from redis import Redis

from worker.configuration.settings import load_settings
from worker.configuration.socket_path import MAX_SOCKET_PATH_BYTES, socket_path
from worker.embedded.errors import HomeInUse, NotReady, UnsafeDirectory
from worker.embedded.home_lock import HomeLock
from worker.embedded.keeper import Stopped
from worker.embedded.parent_death import die_with
from worker.embedded.private_directory import make_private
from worker.embedded.restarts import RestartPolicy
from worker.embedded.supervisor import Supervisor
from worker.embedded.valkey import Valkey

SOON = timedelta(seconds=10)
_CLEAN = multiprocessing.get_context("forkserver")  # a parent that has run no other test


def client(server: Valkey) -> Redis:
    return Redis(unix_socket_path=str(server.socket), decode_responses=True)


def pid_of(server: Valkey) -> int:
    with client(server) as redis:
        return int(redis.info("server")["process_id"])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON.total_seconds()
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # noqa: TID251 - between two looks, bounded by the deadline


def started(server: Valkey) -> Valkey:
    server.start()
    server.wait_ready(SOON)
    return server


def test_the_server_is_private_durable_and_never_evicts(tmp_path: Path) -> None:
    with Valkey(tmp_path / "home") as server, client(started(server)) as redis:
        names = ("port", "appendonly", "appendfsync", "maxmemory-policy", "save", "unixsocket")
        assert {name: redis.config_get(name)[name] for name in names} == {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            "unixsocket": str(tmp_path / "home/valkey.sock"),
        }
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700
        assert (tmp_path / "home/valkey/valkey.log").is_file()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_it_was_told_outlives_it(tmp_path: Path, end: signal.Signals) -> None:
    with Valkey(tmp_path) as server:
        with client(started(server)) as redis:
            redis.set("told", "before")
        pid = pid_of(server)
        os.kill(pid, end)
        wait_until(lambda: not alive(pid))
        server.stop()
        with client(started(server)) as redis:
            assert redis.get("told") == "before"


def test_stop_leaves_no_process_and_frees_the_home(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server:
        pid = pid_of(started(server))
    assert not alive(pid)
    assert not server.answers()
    with Valkey(tmp_path) as again:
        started(again)


ODD_HOMES = ["with space", "ünï-çødé ✓", "quo'te\"s", "back\\slash", "per%20cent", "ha#sh&?x=1", "a@b:c", "long" * 40]


@pytest.mark.parametrize("name", ODD_HOMES)
def test_celery_and_redis_clients_reach_it_whatever_the_home_is_called(tmp_path: Path, name: str) -> None:
    settings = load_settings({"COACHSYNC_HOME": str(tmp_path / name)}, cwd=tmp_path)
    with Valkey(settings.home) as server:
        started(server)
        with Connection(settings.broker_url.get_secret_value()) as broker, broker.SimpleQueue("odd") as queue:
            queue.put({"home": name})
            message = queue.get(timeout=5)
            assert message.payload == {"home": name}
            message.ack()
        with Redis.from_url(settings.redis_url) as redis:
            assert redis.config_get("dir")["dir"] == str(settings.home / "valkey")


def test_a_long_home_has_a_short_private_socket_that_every_process_finds(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 40)
    path = socket_path(home, os.getuid())
    assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
    assert path == socket_path(home, os.getuid())
    assert path != socket_path(home / "other", os.getuid())
    assert path != socket_path(home, os.getuid() + 1)
    with Valkey(home) as server:
        started(server)
        assert server.socket == path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


def test_a_second_start_on_the_same_home_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server:
        pid = pid_of(started(server))
        with (
            pytest.raises(HomeInUse, match=rf"in use by another coachsync up \(process {os.getpid()}\)"),
            Valkey(tmp_path),
        ):
            pass
        assert pid_of(server) == pid


def _hold_a_server(home: Path, pipe: Pipe) -> None:
    die_with(os.getppid(), signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with Valkey(home) as server:
        pipe.send(pid_of(started(server)))
        signal.pause()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_it_dies_with_its_parent_and_the_home_is_free_at_once(tmp_path: Path, end: signal.Signals) -> None:
    ours, theirs = _CLEAN.Pipe()
    parent = _CLEAN.Process(target=_hold_a_server, args=(tmp_path, theirs))
    parent.start()
    pid = ours.recv() if ours.poll(SOON.total_seconds()) else 0
    os.kill(parent.pid or 0, end)
    parent.join()
    with Valkey(tmp_path) as server:  # waits for what is left of the first
        assert pid_of(started(server)) != pid
    assert not alive(pid)
    parent.close()
    ours.close()
    theirs.close()


def test_the_home_stays_taken_while_the_server_lives_though_its_parent_is_gone(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server:
        pid = pid_of(started(server))
        server._lock.release()  # as the kernel does for a killed parent, an instant before the server dies
        (tmp_path / "up.lock").write_text("999999999\n")
        os.kill(pid, signal.SIGSTOP)
        second = HomeLock(tmp_path)
        begun = time.monotonic()
        killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        killer.start()
        second.acquire()
        waited = time.monotonic() - begun
        killer.join()
        assert waited >= 0.3
        second.release()


def test_a_server_that_cannot_read_its_file_is_not_ready_and_says_why(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server:
        started(server)
    (tmp_path / "valkey/appendonlydir/appendonly.aof.manifest").write_text("nonsense\n")
    with Valkey(tmp_path) as server:
        server.start()
        with pytest.raises(NotReady, match=r"(?s)valkey\.log ends with:.*manifest"):
            server.wait_ready(SOON)


def test_a_directory_that_others_could_have_laid_out_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "open")
    (tmp_path / "file").touch()
    for name, why in [
        ("open", "is open to others; run: chmod 700"),
        ("link", "is no directory"),
        ("file", "cannot be made"),
    ]:
        with pytest.raises(UnsafeDirectory, match=why):
            make_private(tmp_path / name, os.getuid())
    (tmp_path / "open").chmod(0o700)
    with pytest.raises(UnsafeDirectory, match="belongs to the user id"):
        make_private(tmp_path / "open", os.getuid() + 1)
    make_private(tmp_path / "open", os.getuid())


def test_a_home_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnsafeDirectory, match="set COACHSYNC_HOME elsewhere"), Valkey(tmp_path / "file/home"):
        pass


def test_under_the_supervisor_it_comes_back_with_what_it_knew(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server:
        supervisor = Supervisor(
            [server.spec()], forward=lambda *_: None, policy=RestartPolicy(first_wait=timedelta(milliseconds=10))
        )

        async def story() -> None:
            running = asyncio.create_task(supervisor.run())
            await asyncio.to_thread(wait_until, server.answers)
            first = pid_of(server)
            with client(server) as redis:
                redis.set("told", "before")
            os.kill(first, signal.SIGKILL)
            await asyncio.to_thread(wait_until, lambda: server.answers() and pid_of(server) != first)
            with client(server) as redis:
                assert redis.get("told") == "before"
            assert not running.done()
            os.kill(os.getpid(), signal.SIGTERM)
            assert await running == Stopped()

        asyncio.run(story())
        assert not server.answers()
