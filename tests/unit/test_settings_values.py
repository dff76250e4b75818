"""What single settings take, and what they refuse with which words."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import TypeAdapter
from sqlalchemy import make_url

from worker.configuration.values import (
    KeyMemory,
    check_api_url,
    check_broker_url,
    check_database_url,
    check_rate_limit,
    duration,
    is_loopback,
    redis_client_url,
    shown_duration,
    sqlite_url,
)

ANY_TIME = TypeAdapter(Annotated[timedelta, duration(timedelta(0), timedelta.max)])
LONG_TIME = TypeAdapter(KeyMemory)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://api.example.com/", "https://api.example.com"),
        ("HTTPS://api.example.com/base//", "https://api.example.com/base"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
    ],
)
def test_an_api_url_is_taken_without_its_closing_slash(given: str, taken: str) -> None:
    assert check_api_url(given) == taken


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("api.example.com", "is no http(s) URL"),
        ("ftp://api.example.com", "is no http(s) URL"),
        ("https://", "is no http(s) URL"),
        ("https:///path", "is no http(s) URL"),
        ("https://user:secret@api.example.com", "has a user or password"),
        ("https://@api.example.com", "has a user or password"),
        ("https://api.example.com?", "has a query"),
        ("https://api.example.com/#a", "has a query, fragment"),
        ("https://api.example.com\\@evil.example", "has a user or password"),
        ("https://api.example.com/a\\b", "backslash"),
        ("https://api.exa\tmple.com", "control character"),
        ("https://api.example.com\n", "control character"),
        ("https://api.example.com:99999", "no valid host or port"),
        ("https://api.example.com:port", "no valid host or port"),
        ("https://[::1", "no valid host or port"),
    ],
)
def test_an_api_url_that_could_be_misread_is_refused(given: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        check_api_url(given)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]", True),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
    ],
)
def test_loopback_is_known_by_its_address(url: str, loopback: bool) -> None:  # noqa: FBT001 - a column of the table
    assert is_loopback(url) is loopback


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("postgres://u:p@h:5432/d", "postgresql+psycopg://u:p@h:5432/d"),
        ("postgresql://h/d?sslmode=require", "postgresql+psycopg://h/d?sslmode=require"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("postgresql:///d?host=/run/postgresql", "postgresql+psycopg:///d?host=/run/postgresql"),
        ("sqlite:////var/lib/a b/x.db", "sqlite:////var/lib/a b/x.db"),
    ],
)
def test_a_database_url_becomes_what_sqlalchemy_takes(given: str, taken: str) -> None:
    assert check_database_url(given) == taken
    make_url(taken)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("coachsync.db", "is no database URL"),
        ("mysql://h/d", "not supported"),
        ("postgresql+asyncpg://h/d", "not supported"),
        ("postgresql://h", "names no database"),
        ("postgresql://h:port/d", "no valid host or port"),
        ("sqlite://", "no absolute path"),
        ("sqlite:///x.db", "no absolute path"),
        ("sqlite:///:memory:", "no absolute path"),
        ("postgresql://h/d\n", "control character"),
    ],
)
def test_a_database_that_processes_cannot_share_is_refused(given: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_database_url(given)


@pytest.mark.parametrize("path", ["/plain/x.db", "/a b/ü/x.db", "/a?b/x.db", "/a%20b/x.db", "/a#b@c:d/x.db"])
def test_sqlalchemy_finds_the_file_whatever_its_path(path: str) -> None:
    assert make_url(sqlite_url(Path(path))).database == path


@pytest.mark.parametrize(
    ("given", "for_celery", "for_redis"),
    [
        ("redis://h", "redis://h", "redis://h"),
        ("redis://:p@h:6379/1", "redis://:p@h:6379/1", "redis://:p@h:6379/1"),
        ("rediss://h/0?ssl_cert_reqs=required", *["rediss://h/0?ssl_cert_reqs=required"] * 2),
        ("unix:///run/x.sock", "redis+socket:///run/x.sock", "unix:///run/x.sock"),
        ("unix:///r/x?db=2", "redis+socket:///r/x?virtual_host=2", "unix:///r/x?db=2"),
        ("redis+socket:///r/a%20b?virtual_host=2", "redis+socket:///r/a%20b?virtual_host=2", "unix:///r/a%20b?db=2"),
    ],
)
def test_a_broker_url_is_spelt_for_celery_and_for_redis(given: str, for_celery: str, for_redis: str) -> None:
    assert check_broker_url(given) == for_celery
    assert redis_client_url(for_celery) == for_redis


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("amqp://h", "not supported: queue and limiter share one Redis or Valkey server; give redis://"),
        ("amqps://u:p@h:5671//", "queue and limiter share one"),
        ("sentinel://h:26379", "queue and limiter share one"),
        ("valkey.sock", "not supported"),
        ("redis://", "is incomplete"),
        ("unix://", "is incomplete"),
        ("unix://run/x.sock", "is incomplete"),
        ("redis://h:port", "no valid host or port"),
        ("redis://h /0", "space"),
    ],
)
def test_another_broker_is_refused(given: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_broker_url(given)


@pytest.mark.parametrize("text", ["", "fast", "10", "0/second", "10/fortnight"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be used: "):
        check_rate_limit(text)


@pytest.mark.parametrize(
    ("given", "seconds", "shown"),
    [
        (10, 10, "10s"),
        ("0.5", 0.5, "0.5s"),
        ("45s", 45, "45s"),
        ("90m", 5400, "90m"),
        ("1.5h", 5400, "90m"),
        ("24 h", 86_400, "24h"),
        ("3600", 3600, "1h"),
        ("3d", 259_200, "72h"),
    ],
)
def test_a_time_is_given_with_its_unit_or_in_seconds_and_shown_as_it_can_be_given(
    given: object, seconds: float, shown: str
) -> None:
    taken = ANY_TIME.validate_python(given)
    assert taken == timedelta(seconds=seconds)
    assert shown_duration(taken) == shown
    assert ANY_TIME.validate_python(shown) == taken


@pytest.mark.parametrize("given", ["", "h", "ten", "1w", "-1s", "1e3", "nan", "inf", "1h30m", "9" * 400, True, "0.9s"])
def test_what_is_no_time_or_out_of_bounds_is_refused_with_the_bounds(given: object) -> None:
    with pytest.raises(ValueError, match="is no time from 1s to 8760h; give it like"):
        LONG_TIME.validate_python(given)


def test_several_rates_are_one_setting() -> None:
    assert check_rate_limit("10/second, 300 per minute") == "10/second, 300 per minute"
