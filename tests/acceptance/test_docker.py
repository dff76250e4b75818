"""The same fleet on a broker that pytest-celery runs in a container of its own; where there is a Docker engine."""

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_celery import RedisTestBroker

from schemas.jobs import JobState
from tests.acceptance.installation import Config, installed
from tests.acceptance.wishes import wish


def _no_engine() -> str:
    docker = shutil.which("docker")
    if docker is None:
        return "there is no docker command"
    asked = subprocess.run([docker, "info"], capture_output=True, text=True, check=False, timeout=30)
    return asked.stderr.strip().splitlines()[-1] if asked.returncode else ""


NO_ENGINE = _no_engine()


@pytest.mark.skipif(bool(NO_ENGINE), reason=f"no Docker engine: {NO_ENGINE}")
def test_a_batch_is_done_over_a_broker_in_a_container(celery_redis_broker: RedisTestBroker, tmp_path: Path) -> None:
    assert celery_redis_broker.ready()
    contained = SimpleNamespace(url=celery_redis_broker.config()["host_url"], alive=True)
    with installed(Config(f"sqlite:///{tmp_path / 'coachsync.db'}"), tmp_path, contained) as installation:
        installation.start_all()
        batch = installation.accept(wish(number, 1.5) for number in range(20))
        installation.await_end(batch)
        assert installation.states(batch) == {JobState.SUCCEEDED: 20}
