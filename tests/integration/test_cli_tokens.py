"""`coachsync tokens`: made and shown once, kept as a digest, listed without it, ended for good."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.integration.cli_rig import Command
from tests.integration.store_rig import offer, wish
from tests.services.stores import on_both, on_sqlite
from worker.core.access import Holder, Scope, digest_of, is_token
from worker.store import tokens
from worker.store.engine import Database
from worker.store.tables import api_tokens

pytestmark = on_sqlite


def holder_of(store: Database, token: str) -> Holder | None:
    with store.read() as session:
        return tokens.holder_of(session, digest_of(token))


@on_both
def test_a_token_stands_for_its_holder_until_it_is_revoked(store: Database, coachsync: Command) -> None:
    asked = ("--scope", "targets:write", "--scope", "read", "--customer", "acme", "--customer", "customers/globex")
    made = coachsync.json("tokens", "create", "crm sync", *asked)
    assert is_token(made["secret"])
    assert made["customers"] == ["customers/acme", "customers/globex"]
    scopes = frozenset({Scope.TARGETS_WRITE, Scope.READ})
    assert holder_of(store, made["secret"]) == Holder(made["token"], "crm sync", scopes, frozenset({"acme", "globex"}))
    assert [(one["token"], one["state"]) for one in coachsync.json("tokens", "list")] == [(made["token"], "live")]
    assert coachsync.json("tokens", "revoke", made["token"])["state"] == "revoked"
    assert holder_of(store, made["secret"]) is None


def test_the_token_itself_is_nowhere_but_in_the_answer(store: Database, coachsync: Command) -> None:
    said = coachsync("tokens", "create", "jane", "--scope", "console:act").out
    (token,) = [word for word in said.split() if is_token(word)]
    with store.read() as session:
        row = session.execute(select(api_tokens)).one()
    assert token not in str(row)
    assert row.digest == digest_of(token)
    assert token not in coachsync("tokens", "list").out


def test_one_that_has_expired_stands_for_nobody(store: Database, coachsync: Command) -> None:
    made = coachsync.json("tokens", "create", "brief", "--scope", "read", "--expires", "1h")
    assert holder_of(store, made["secret"])
    with store.write() as session:
        session.execute(api_tokens.update().values(expires_at=api_tokens.c.created_at))
    assert holder_of(store, made["secret"]) is None
    assert coachsync.json("tokens", "list")[0]["state"] == "expired"


def test_its_use_is_noted_to_the_minute(store: Database, coachsync: Command) -> None:
    made = coachsync.json("tokens", "create", "crm", "--scope", "read")
    assert coachsync.json("tokens", "list")[0]["lastUsedAt"] is None
    with store.write() as session:
        assert tokens.is_use_news(session, made["token"])
        tokens.note_use(session, made["token"])
        assert not tokens.is_use_news(session, made["token"])
        before = tokens.find(session, made["token"])
        assert before
        assert before.last_used_at
        session.execute(api_tokens.update().values(last_used_at=before.last_used_at - timedelta(minutes=2)))
        assert tokens.is_use_news(session, made["token"])


def test_revoking_twice_keeps_the_first_time_and_is_one_line_of_the_audit_trail(coachsync: Command) -> None:
    made = coachsync.json("tokens", "create", "crm", "--scope", "read")
    first = coachsync.json("tokens", "revoke", made["token"])
    assert coachsync.json("tokens", "revoke", made["token"]) == first
    told = [(line["action"], line["subject"], line["result"]) for line in coachsync.json("audit", "list")]
    assert told == [("revoke-token", made["token"], "of crm"), ("create-token", made["token"], "for crm: read")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", " jane", "--scope", "read"), "NAME: give 1 to 100 printable characters"),
        (("create", "jane", "--scope", "all"), "--scope"),
        (("create", "jane"), "--scope"),
        (("create", "jane", "--scope", "read", "--customer", "a/b"), "--customer: 'a/b' is no customer's id"),
        (("create", "jane", "--scope", "read", "--expires", "soon"), "--expires: 'soon' is no time"),
        (("create", "jane", "--scope", "read", "--expires", "0"), "--expires: it would never be valid"),
        (("revoke", "tok_none"), "TOKEN: there is no token 'tok_none'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(arguments: tuple[str, ...], said: str, coachsync: Command) -> None:
    assert said in coachsync("tokens", *arguments, code=2).err


def test_a_customer_of_whom_nothing_is_known_is_named(store: Database, coachsync: Command) -> None:
    def noted(*customers: str) -> str:
        given = [word for one in customers for word in ("--customer", one)]
        return coachsync("tokens", "create", "crm", "--scope", "read", *given).err

    assert not noted()
    assert noted("acme", "acne").startswith("nothing is known of customers/acme, customers/acne yet")
    offer(store, wish(1))
    assert noted("acme", "acne").startswith("nothing is known of customers/acne yet")
