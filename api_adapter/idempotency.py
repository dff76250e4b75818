"""The `Idempotency-Key` header (IETF httpapi draft -07): derived from the job, never drawn. Pure."""

import hashlib
import hmac

_LEAST_SALT = 16


def idempotency_key(job_id: str, *, salt: str) -> str:
    """The header's value, a quoted structured-field string: the same for all attempts of a job, through crashes.

    ``salt`` is unique to the installation: two of them never share a key, and no job id can be read out of one.
    """
    if len(salt) < _LEAST_SALT:
        raise ValueError(
            f"the salt of idempotency keys is {len(salt)} characters long; at least {_LEAST_SALT} it takes"
        )
    digest = hmac.digest(salt.encode(), job_id.encode(), hashlib.sha256)
    return f'"{digest.hex()[:40]}"'
