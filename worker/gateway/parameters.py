"""What a request may say beside its body, in its query."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

from schemas.lanes import Lane

Label = Annotated[
    str | None, Query(max_length=200, description="Words that tell this batch from others.", examples=["nightly"])
]
InLane = Annotated[Lane, Query(description="`interactive` goes ahead of `bulk`.")]
Strict = Annotated[bool, Query(description="One row that is wrong in itself refuses all: nothing is written.")]
Force = Annotated[bool, Query(description="Send also what the remote is known to have.")]


@dataclass(frozen=True, slots=True)
class Wanted:
    lane: Lane
    label: str | None
    strict: bool = False
    force: bool = False


def wanted(*, lane: InLane = Lane.BULK, label: Label = None, strict: Strict = False, force: Force = False) -> Wanted:
    return Wanted(lane, label, strict, force)


def wanted_of_quotas(*, lane: InLane = Lane.BULK, label: Label = None, strict: Strict = False) -> Wanted:
    return Wanted(lane, label, strict)
