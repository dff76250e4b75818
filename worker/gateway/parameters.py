"""What a request may say beside its body, in its query."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request

from schemas.lanes import Lane
from worker.gateway.problems import Problem

Label = Annotated[
    str | None, Query(max_length=200, description="Words that tell this batch from others.", examples=["nightly"])
]
InLane = Annotated[Lane, Query(description="`interactive` goes ahead of `bulk`.")]
Strict = Annotated[bool, Query(description="One row that is wrong in itself refuses all: nothing is written.")]
Force = Annotated[bool, Query(description="Send also what the remote is known to have.")]


def refuse_nul(request: Request) -> None:
    """No name and no label has one, and PostgreSQL takes none. Raises ``Problem``."""
    said = {**request.path_params, **request.query_params}
    for name, value in said.items():
        if "\0" in str(value):
            reason = "has a NUL in it"
            errors = [{"parameter": name, "reason": reason}]
            raise Problem(HTTPStatus.BAD_REQUEST, "bad-parameter", f"{name}: {reason}", errors=errors)


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
