"""API tokens: one pattern finds them, what is none is told without a look anywhere, a holder stays within customers."""

import os
import re

import pytest

from worker.core.access import PATTERN, Holder, Scope, is_token, new_token, parse_customers

HOLDER = Holder("tok_1", "crm", frozenset({Scope.READ}), frozenset({"acme"}))


def test_a_new_token_is_one_and_no_two_are_the_same() -> None:
    made = {new_token(os.urandom) for _ in range(100)}
    assert len(made) == 100
    assert all(is_token(token) and PATTERN.fullmatch(token) for token in made)


def test_a_token_with_one_letter_changed_is_none() -> None:
    token = new_token(lambda count: bytes(range(count)))
    for place in range(len("coachsync_"), len(token)):
        other = "a" if token[place] != "a" else "b"
        assert not is_token(token[:place] + other + token[place + 1 :])


@pytest.mark.parametrize("text", ["", "coachsync_", "coachsync_" + "0" * 35, "coachsync_" + "é" * 36, "x" * 10_000])
def test_what_does_not_look_like_one_is_none(text: str) -> None:
    assert not is_token(text)


def test_a_scanner_finds_it_in_other_text() -> None:
    token = new_token(os.urandom)
    assert re.findall(PATTERN, f'Authorization: "Bearer {token}"\n') == [token]


@pytest.mark.parametrize(
    ("resource", "owned"),
    [
        ("customers/acme/profiles/p/targets/t", True),
        ("customers/acme", True),
        ("customers/acme-emea/profiles/p/targets/t", False),
        ("customers/globex/profiles/p/targets/t", False),
        ("acme", False),
        ("", False),
    ],
)
def test_a_holder_with_customers_owns_what_is_theirs_alone(resource: str, *, owned: bool) -> None:
    assert HOLDER.owns(resource) is owned


def test_a_holder_without_customers_owns_all() -> None:
    assert Holder("tok_1", "ops", frozenset()).owns("customers/globex/profiles/p/targets/t")


def test_who_may_act_may_look_and_not_the_other_way_round() -> None:
    assert Holder("t", "n", frozenset({Scope.CONSOLE_ACT})).may(Scope.CONSOLE_VIEW)
    assert not Holder("t", "n", frozenset({Scope.CONSOLE_VIEW})).may(Scope.CONSOLE_ACT)


def test_a_customer_is_given_by_id_or_name() -> None:
    assert parse_customers(["customers/acme", "globex"]) == {"acme", "globex"}
