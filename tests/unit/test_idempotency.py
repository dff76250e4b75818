import re

import pytest

from api_adapter.idempotency import idempotency_key

SALT = "an installation's own salt"


def test_the_key_of_a_job_is_the_same_in_every_attempt() -> None:
    assert idempotency_key("job-1", salt=SALT) == idempotency_key("job-1", salt=SALT)


def test_two_jobs_and_two_installations_never_share_a_key() -> None:
    keys = {idempotency_key(job, salt=salt) for job in ("job-1", "job-2") for salt in (SALT, SALT + "'")}
    assert len(keys) == 4


def test_what_a_person_has_tried_anew_has_a_new_key() -> None:
    assert len({idempotency_key("job-1", salt=SALT, round_=round_) for round_ in range(3)}) == 3


def test_the_key_is_a_quoted_structured_field_string() -> None:
    assert re.fullmatch(r'"[0-9a-f]{40}"', idempotency_key("jöb/1", salt=SALT))


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="5 characters"):
        idempotency_key("job-1", salt="short")
