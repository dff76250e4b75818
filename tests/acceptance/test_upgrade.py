"""A fleet of an earlier version goes on while the database is upgraded beneath it; only its restart is refused."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.jobs import JobState
from tests.acceptance.installation import MODULE, Config, Installation
from tests.acceptance.wishes import wish
from tests.services.valkey import ValkeyServer
from worker.store import schema

ROOT = Path(__file__).parents[2]
EARLIER = "ed4b1b23cb67763b27834f1edb5271aee8c84f89"  # the last commit whose newest schema was 0004
EARLIER_SCHEMA = "0004"


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages as they were."""
    command = ["git", "-C", str(ROOT), "archive", EARLIER, "schemas", "api_adapter", "worker"]
    try:
        taken = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no git command")
    if taken.returncode:
        pytest.skip(f"the earlier version is not in this checkout's history: {taken.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(taken.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def installation(postgres_url: str, tmp_path: Path, own_valkey: ValkeyServer) -> Iterator[Installation]:
    installation = Installation(Config(postgres_url, targets=50), tmp_path, own_valkey)
    try:
        installation.open(tables=False)
        yield installation
    finally:
        installation.close()


def run(earlier: Path, installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MODULE, *arguments],
        env=installation.env | {"PYTHONPATH": str(earlier)},
        cwd=installation.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.postgres
def test_what_runs_goes_on_through_the_upgrade_and_what_starts_afterwards_is_refused(
    earlier: Path, installation: Installation
) -> None:
    assert run(earlier, installation, "db", "upgrade").returncode == 0
    database = installation.runtime.database
    assert schema.version(database) == EARLIER_SCHEMA
    worker = installation.start_worker_of(earlier, "old-worker")
    loops = installation.start_loops_of(earlier, "old-loops")
    worker.ready()
    loops.ready()

    schema.upgrade(database)
    batch = installation.accept(wish(number, 1.5) for number in range(20))
    installation.await_end(batch)
    assert installation.states(batch) == {JobState.SUCCEEDED: 20}
    assert (worker.status, loops.status) == ("running", "running")

    refused = run(earlier, installation, "worker")
    assert refused.returncode == 2
    assert f"the database is at version {schema.newest()}, newer than this program" in refused.stderr
