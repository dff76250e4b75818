"""Who may come in through the gateway: nothing but its health answers without a token, which ends when it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gateway_rig import Gateway, gateway_on, problem
from worker.store.engine import Database


@pytest.fixture
def gateway(sqlite_store: Database, tmp_path: Path) -> Iterator[Gateway]:
    with gateway_on(sqlite_store, tmp_path) as one:
        yield one


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_its_health_answers_without_a_token(path: str, gateway: Gateway) -> None:
    assert gateway.without_token().get(path).status_code == 200


def test_what_is_not_there_answers_as_a_problem(gateway: Gateway) -> None:
    problem(gateway.without_token().get("/v1/nothing"), 404, "not-found")
    problem(gateway.without_token().post("/livez"), 405, "method-not-allowed")
