"""The `Idempotency-Key` header (IETF httpapi draft -07): derived from the job, never drawn. Pure."""

import hashlib
import hmac

_LEAST_SALT = 16


def idempotency_key(job_id: str, *, salt: str, round_: int = 0) -> str:
    """The header's value, a quoted structured-field string: the same for all attempts of a job, through crashes.

    A ``round_`` begins where a person has a job tried anew, and has a key of its own. ``salt`` is unique to the
    installation: two of them never share a key, and no job id can be read out of one.
    """
    if len(salt) < _LEAST_SALT:
        raise ValueError(
            f"the salt of idempotency keys is {len(salt)} characters long; at least {_LEAST_SALT} it takes"
        )
    name = f"{job_id}.{round_}" if round_ else job_id
    digest = hmac.digest(salt.encode(), name.encode(), hashlib.sha256)
    return f'"{digest.hex()[:40]}"'
