"""Two processes have one fingerprint exactly where they treat the remotes alike; no secret goes into it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from worker.configuration.credentials import BearerToken, NoCredentials
from worker.configuration.remotes import Remote
from worker.configuration.values import Idempotency
from worker.core.fingerprint import differing, fingerprint

ACME = Remote(
    name="acme",
    api_url="https://acme.example.com",
    credentials=NoCredentials(),
    rate_limit="20/second, 300/minute",
    max_in_flight=32,
    request_timeout=timedelta(seconds=10),
    idempotency=Idempotency.READ,
    customers=("acme", "emea"),
)
OTHER = replace(ACME, name="other")


@pytest.mark.parametrize(
    "said",
    [
        {"api_url": "https://ACME.example.com/"},
        {"rate_limit": "300/60s,20/second"},
        {"credentials": BearerToken(SecretStr("renewed"))},
        {"ca_bundle": Path("/of/this/machine.pem")},
        {"customers": ("emea", "acme")},
    ],
    ids=lambda said: next(iter(said)),
)
def test_the_same_said_otherwise_and_what_is_a_machines_own_make_no_difference(said: dict[str, Any]) -> None:
    assert fingerprint([replace(ACME, **said), OTHER]) == fingerprint([OTHER, ACME])


@pytest.mark.parametrize(
    "said",
    [
        {"api_url": "https://acme.example.org"},
        {"rate_limit": "20/second"},
        {"max_in_flight": 31},
        {"request_timeout": timedelta(seconds=9)},
        {"idempotency": Idempotency.HEADER},
        {"key_memory": timedelta(hours=1)},
        {"customers": ("acme",)},
        {"name": "globex"},
    ],
    ids=lambda said: next(iter(said)),
)
def test_each_setting_that_a_remote_is_treated_by_makes_a_difference(said: dict[str, Any]) -> None:
    assert fingerprint([replace(ACME, **said)]) != fingerprint([ACME])


def test_who_does_not_tell_its_settings_is_not_told_of() -> None:
    assert differing({"like": "a", "unlike": "b", "silent": None}, "a") == ["unlike"]
