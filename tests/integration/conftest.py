"""What several modules ask for, beside the services."""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.gateway_rig import Gateway, gateways_in
from worker.store.engine import Database


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Database], Gateway]]:
    """The gateway on a store, the same for all tests of a module."""
    with gateways_in(tmp_path_factory.mktemp("gateway")) as on:
        yield on
