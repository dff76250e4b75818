"""What several commands of the webhooks take: which endpoint is meant, what it asks for, how it is sent to."""

from typing import Annotated

import typer
from sqlmodel import Session

from schemas.names import USECASE, check_customer
from worker.cli.filters import checked
from worker.cli.output import Output
from worker.core.endpoint_filter import EndpointFilter
from worker.store import endpoints
from worker.store.outbox import DISABLED
from worker.store.webhook_models import Endpoint

EndpointId = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="As `coachsync webhooks endpoints list` has it.", show_default=False)
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Of this type, or of a family like target.*; again for more.", metavar="TYPE"),
]
Customers = Annotated[
    list[str] | None, typer.Option("--customer", help="About this customer; again for more.", metavar="ID")
]
Usecases = Annotated[
    list[str] | None, typer.Option("--usecase", help="About this usecase; again for more.", metavar="NAME")
]
Batches = Annotated[
    list[str] | None,
    typer.Option("--batch", help="Of batches with this label or number; again for more.", metavar="LABEL"),
]
Description = Annotated[str | None, typer.Option("--description", help="Words for the operator.", metavar="TEXT")]
Rate = Annotated[int | None, typer.Option("--rate", min=0, max=10_000, help="Messages a second; 0 for no limit.")]
Concurrency = Annotated[int | None, typer.Option("--concurrency", min=1, max=100, help="Requests at once.")]
Ordered = Annotated[
    bool | None,
    typer.Option(
        "--ordered/--unordered", help="For each resource in order, one at a time; a failing one holds up the next."
    ),
]
Asymmetric = Annotated[
    bool, typer.Option("--asymmetric", help="Sign with ed25519 (v1a): the receiver gets a public key.")
]


def existing(session: Session, endpoint: str, output: Output) -> Endpoint:
    found = endpoints.find(session, endpoint)
    return found or output.fail(f"ENDPOINT: there is no endpoint {endpoint[:60]!r} (coachsync webhooks endpoints list)")


def taking(session: Session, endpoint: str, output: Output) -> Endpoint:
    """One that messages can be sent to."""
    found = existing(session, endpoint, output)
    if found.state == DISABLED:
        output.fail(f"{endpoint} is disabled: `coachsync webhooks endpoints resume {endpoint}` first")
    return found


def filter_asked(
    types: list[str] | None,
    customers: list[str] | None,
    usecases: list[str] | None,
    batches: list[str] | None,
    output: Output,
) -> EndpointFilter:
    for one in filter(None, customers or ()):
        checked("--customer", check_customer, one, output)
    for one in filter(None, usecases or ()):
        checked("--usecase", USECASE.check, one, output)
    try:
        return EndpointFilter.of(*(list(filter(None, given or ())) for given in (types, customers, usecases, batches)))
    except ValueError as error:
        output.fail(f"--type: {error}")
