"""Who may come in through the gateway: nothing but its health answers without a token, which ends when it ends."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.integration.gateway_rig import Gateway, gateway_on, make_token, problem
from worker.core.access import Scope
from worker.store.engine import Database
from worker.store.tables import api_tokens


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


def test_nobody_comes_in_without_a_token(gateway: Gateway) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}, {"Authorization": "Bearer x"}):
        said = gateway.without_token(**headers).post("/v1/target-updates", json={})
        problem(said, 401, "unauthorized")
        assert said.headers["www-authenticate"].startswith('Bearer realm="coachsync"')


def test_a_token_without_the_scope_is_told_which_it_is(gateway: Gateway) -> None:
    said = gateway.client(Scope.READ, Scope.QUOTAS_WRITE).post("/v1/target-updates", json={})
    assert problem(said, 403, "insufficient-scope")["scope"] == "targets:write"
    assert 'error="insufficient_scope", scope="targets:write"' in said.headers["www-authenticate"]


def test_a_revoked_token_is_let_in_for_two_seconds_at_most(gateway: Gateway) -> None:
    client = gateway.client(Scope.TARGETS_WRITE)
    assert client.post("/v1/target-updates", json={}).status_code == 422
    with gateway.store.write() as session:
        session.execute(api_tokens.update().values(revoked_at=api_tokens.c.created_at))
    gateway.clock.ahead += 2.1
    problem(client.post("/v1/target-updates", json={}), 401, "unauthorized")


def test_one_that_has_expired_is_not_let_in(gateway: Gateway) -> None:
    token = make_token(gateway.store, Scope.TARGETS_WRITE, lasts=timedelta(microseconds=1))
    problem(gateway.without_token(Authorization=f"Bearer {token}").post("/v1/target-updates"), 401, "unauthorized")


def test_its_use_is_seen(gateway: Gateway) -> None:
    gateway.client(Scope.TARGETS_WRITE).post("/v1/target-updates", json={})
    with gateway.store.read() as session:
        assert session.execute(select(api_tokens.c.last_used_at)).scalar_one()
