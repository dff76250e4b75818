"""What several modules ask for, beside the services."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cli_rig import Command, command_on
from tests.integration.gateway_rig import Gateway, gateways_in
from worker.store.engine import Database


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Database], Gateway]]:
    """The gateway on a store, the same for all tests of a module."""
    with gateways_in(tmp_path_factory.mktemp("gateway")) as on:
        yield on


@pytest.fixture
def coachsync(store: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command on the test's store, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return command_on(store, tmp_path)
