"""Idempotency-Key as the IETF draft -07 has it: the records of keys, and what each answers. Pure.

ours: whether the real remote reads the header is unknown (most likely not), so this is off unless switched on.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from api_adapter.sandbox.answers import Answer
from api_adapter.sandbox.errors import Code, Refusal
from api_adapter.sandbox.ledger import Effect

_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')  # RFC 8941, sf-string
REPLAYED = ("Idempotency-Replayed", "true")  # ours: the draft has no such header


class IdempotencyMode(StrEnum):
    OFF = "off"
    HONOUR = "honour"


@dataclass(slots=True)
class Record:
    """``answer`` is None while the first request with the key is being worked on."""

    fingerprint: str
    answer: Answer | None = None
    effect: Effect | None = None


@dataclass(slots=True)
class Records:
    # ours: only successful writes are kept, until a reset; a refusal leaves the key free
    _by_key: dict[str, Record] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._by_key)

    def open(self, key: str, fingerprint: str) -> Record:
        """A new record to be worked on, or a completed one to be replayed; refuses anything else."""
        record = self._by_key.get(key)
        if record is None:
            record = self._by_key[key] = Record(fingerprint)
            return record
        if record.fingerprint != fingerprint:
            raise Refusal(422, "this Idempotency-Key was used for another request")
        if record.answer is None:
            raise Refusal(409, "a request with this Idempotency-Key is still being worked on", Code.ABORTED)
        return record

    def drop(self, key: str) -> None:
        self._by_key.pop(key, None)


def parse_key(header: str) -> str:
    match = _STRING.fullmatch(header.strip())
    if not match or not match[1]:
        raise Refusal(400, 'Idempotency-Key must be a quoted string, like "8e03978e-40d5"')
    return re.sub(r"\\(.)", r"\1", match[1])
