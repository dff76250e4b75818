import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from api_adapter.auth.authenticator import Authenticator, TokenRefused, TokenTrouble, TokenUnavailable
from api_adapter.auth.grant import read_grant
from api_adapter.auth.static import ApiKey, BearerToken
from api_adapter.auth.tokens import TURN, AccessToken, LocalTokenStore
from api_adapter.classify import NoReply, Reply

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = SecretStr("s3cret-of-ours")


@pytest.mark.parametrize(
    ("authenticator", "header"),
    [(BearerToken(SecretStr("abc")), "Bearer abc"), (ApiKey(SecretStr("abc")), "ApiKey abc")],
)
def test_a_static_credential_is_always_the_same_header(authenticator: Authenticator, header: str) -> None:
    assert asyncio.run(authenticator.header()) == header
    assert asyncio.run(authenticator.renew(header)) is False
    assert asyncio.run(authenticator.header()) == header


@pytest.mark.parametrize(
    ("token", "complaint"),
    [
        ("", "the bearer token is empty"),
        ("abcdef\n", "a line break at character 7 of 7"),
        ("abc\r\nX-Evil: 1", "a line break at character 4"),
        ("abc def", "white space at character 4"),
        ("abc\x00", "a control character at character 4"),
        ("abcé", "a character outside ASCII at character 4"),
        ("abc\x7f", "a control character at character 4"),
    ],
)
def test_a_token_that_would_break_a_header_is_refused_with_the_place_and_without_the_token(
    token: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        BearerToken(SecretStr(token))
    assert "abc" not in str(refused.value)


def test_no_repr_shows_a_secret() -> None:
    token = AccessToken(SECRET, NOW, NOW)
    things = (BearerToken(SECRET), ApiKey(SECRET), token, [token])
    assert "s3cret" not in "".join(f"{thing} {thing!r}" for thing in things)


def _granted(body: bytes, status: int = 200) -> AccessToken:
    return read_grant(Reply(status, {}, body), NOW, secrets=(SECRET,))


def test_a_tokens_life_is_counted_from_the_asking() -> None:
    token = _granted(b'{"access_token": "abc", "expires_in": 3600, "token_type": "Bearer"}')
    assert token.header == "Bearer abc"
    assert (token.issued_at, token.expires_at) == (NOW, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("life", "margin"), [(timedelta(hours=1), timedelta(minutes=5)), (timedelta(seconds=100), timedelta(seconds=20))]
)
def test_a_token_is_renewed_a_fifth_of_its_life_before_its_end_and_five_minutes_at_most(
    life: timedelta, margin: timedelta
) -> None:
    assert AccessToken(SECRET, NOW, NOW + life).renew_at == NOW + life - margin


def test_a_grant_without_a_life_lives_five_minutes_and_a_life_may_be_text() -> None:
    assert _granted(b'{"access_token": "abc"}').expires_at == NOW + timedelta(minutes=5)
    assert _granted(b'{"access_token": "abc", "expires_in": "60"}').expires_at == NOW + timedelta(minutes=1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"expires_in": 60}',
        b'{"access_token": ""}',
        b'{"access_token": "abc\\n"}',
        b'{"access_token": null}',
        b'{"access_token": "abc", "expires_in": 0}',
        b'{"access_token": "abc", "expires_in": "abc"}',
    ],
)
def test_an_answer_without_a_usable_token_is_trouble_that_passes_and_shows_no_token(body: bytes) -> None:
    with pytest.raises(TokenUnavailable) as trouble:
        _granted(body)
    assert "abc" not in str(trouble.value)


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (400, TokenRefused),
        (401, TokenRefused),
        (403, TokenRefused),
        (404, TokenRefused),
        (302, TokenRefused),
        (408, TokenUnavailable),
        (429, TokenUnavailable),
        (500, TokenUnavailable),
        (503, TokenUnavailable),
    ],
)
def test_an_issuer_that_refuses_needs_a_person_and_one_in_trouble_needs_time(
    status: int, trouble: type[TokenTrouble]
) -> None:
    with pytest.raises(trouble, match=str(status)):
        _granted(b"", status)
    with pytest.raises(TokenUnavailable, match="gone"):
        read_grant(NoReply(left=True, message="gone"), NOW, secrets=())


def test_the_issuers_words_are_told_without_the_secret_it_echoes() -> None:
    with pytest.raises(TokenRefused) as refused:
        _granted(b'{"error": "invalid_client", "error_description": "s3cret-of-ours is wrong"}', 401)
    assert str(refused.value) == "the token's issuer answered 401: *** is wrong"


def test_a_turn_of_the_local_store_is_held_by_one_until_it_is_ended_or_runs_out() -> None:
    now = [0.0]
    ids = map(str, itertools.count())
    store = LocalTokenStore(new_id=lambda: next(ids), monotonic=lambda: now[0])

    async def walk() -> None:
        first = await store.take_turn()
        assert first
        assert await store.take_turn() is None
        now[0] += TURN.total_seconds()
        second = await store.take_turn()
        assert second
        await store.end_turn(first)  # too late: the turn is another one's by now
        assert await store.take_turn() is None
        await store.end_turn(second)
        assert await store.take_turn()

    asyncio.run(walk())
