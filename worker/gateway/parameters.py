"""What a request may say beside its body, in its query."""

from collections.abc import Collection
from typing import Annotated, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import QueryParams

from schemas.lanes import Lane
from worker.gateway.problems import bad_parameter
from worker.intake.printable import printable

_LONGEST_NAME, _MOST_NAMED = 100, 20


class Wanted(BaseModel):
    """Of a batch of wishes. Read by hand: it is asked for thousands of times a second, and says nothing most times."""

    model_config = ConfigDict(frozen=True)

    lane: Annotated[Lane, Field(description="`interactive` goes ahead of `bulk`.")] = Lane.BULK
    label: Annotated[str | None, Field(max_length=200, description="Words that tell this batch from others.")] = None
    strict: Annotated[bool, Field(description="One row that is wrong in itself refuses all: nothing is written.")] = (
        False
    )

    @property
    def forced(self) -> bool:
        """Of quotas nothing is known that could keep one from being asked for."""
        return False


class WantedOfTargets(Wanted):
    force: Annotated[bool, Field(description="Send also what the remote is known to have.")] = False

    @property
    def forced(self) -> bool:
        return self.force


W = TypeVar("W", bound=Wanted)
_NOTHING_SAID = Wanted()
_NOTHING_SAID_OF_TARGETS = WantedOfTargets()


def wanted_of_quotas(request: Request) -> Wanted:
    return _read(Wanted, request) if request.url.query else _NOTHING_SAID


def wanted_of_targets(request: Request) -> WantedOfTargets:
    return _read(WantedOfTargets, request) if request.url.query else _NOTHING_SAID_OF_TARGETS


def refuse_nul(request: Request) -> None:
    """No name and no label has one, and PostgreSQL takes none. Raises ``Problem``."""
    said = {**request.path_params, **request.query_params}
    with_nul = [(name, "has a NUL in it") for name, value in said.items() if "\0" in str(value)]
    if with_nul:
        raise bad_parameter(*with_nul)


def refuse_unknown(given: QueryParams, known: Collection[str]) -> None:
    """A misspelt or contradicted filter or option would be left out without a word. Raises ``Problem``."""
    unknown = [name for name in given if name not in known]
    if unknown:
        reason = f"is no parameter of this; there is {', '.join(sorted(known)) or 'none'}"
        raise bad_parameter(*((printable(name, _LONGEST_NAME), reason) for name in unknown[:_MOST_NAMED]))
    again = [(name, "is given more than once") for name in given if len(given.getlist(name)) > 1]
    if again:
        raise bad_parameter(*again)


def known_to(route: APIRoute) -> frozenset[str]:
    return frozenset(one.alias for one in route.dependant.query_params)


def _read(model: type[W], request: Request) -> W:
    refuse_unknown(request.query_params, model.model_fields)
    try:
        return model.model_validate(dict(request.query_params))
    except ValidationError as error:
        told = [{**one, "loc": ("query", *one["loc"])} for one in error.errors(include_url=False)]
        raise RequestValidationError(told) from None
