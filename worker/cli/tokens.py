"""``coachsync tokens``: who may come in through the gateway, and what for."""

import os
from collections.abc import Collection
from contextlib import closing
from typing import Annotated

import typer
from sqlmodel import Session

from schemas.names import check_customer
from worker.cli.filters import checked, checked_if_given
from worker.cli.options import Json, open_runtime
from worker.cli.output import Output
from worker.cli.trail import leave
from worker.configuration.settings import Settings
from worker.configuration.values import parse_duration
from worker.core.access import Scope, digest_of, new_token, parse_customers
from worker.store import tokens
from worker.store.audit import AuditAction
from worker.store.engine import database_now
from worker.store.sight import has_anything
from worker.store.tokens import NewToken
from worker.telling.token_records import token_record, token_row

app = typer.Typer(help="API tokens: who may come in through the gateway, and what for.", no_args_is_help=True)

COLUMNS = ("token", "name", "state", "scopes", "customers", "createdAt", "expiresAt", "lastUsedAt")
ID_BYTES = 8
LONGEST_NAME = 100


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="tokens")


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, in your words: crm-sync, jane.")],
    scopes: Annotated[
        list[Scope], typer.Option("--scope", help="What it lets its holder do; again for more.", show_default=False)
    ],
    customers: Annotated[
        list[str] | None,
        typer.Option("--customer", help="Of this customer alone; again for more. Without: of all.", metavar="ID"),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="After this time, like 12h or 90d. Without: never.", metavar="TIME")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a token, and print it: this once, it cannot be shown again.

    `console:act` includes `console:view`. A token of some customers neither sees nor writes what is another's.

    Example: coachsync tokens create crm-sync --scope targets:write --scope read --customer acme --expires 90d

    Example: coachsync tokens create jane --scope console:act
    """
    output = Output(as_json)
    if not (name.isprintable() and name.strip() == name and 0 < len(name) <= LONGEST_NAME) or set("[]") & set(name):
        output.fail(f"NAME: give 1 to {LONGEST_NAME} printable characters, without a space at either end, [ and ]")
    lasts = checked_if_given("--expires", parse_duration, expires, output)
    if lasts is not None and not lasts:
        output.fail("--expires: it would never be valid; give a time like 90d")
    theirs = parse_customers(customers or ())
    for customer in sorted(theirs):
        checked("--customer", check_customer, customer, output)
    token = new_token(os.urandom)
    new = NewToken(f"tok_{os.urandom(ID_BYTES).hex()}", name, digest_of(token), set(scopes), theirs, lasts)
    with closing(open_runtime(output)) as runtime:
        console = f"{runtime.settings.gateway_listen.url}/console"
        with runtime.database.write() as session:
            record = token_record(tokens.create(session, new), database_now(session))
            unheard_of = _unheard_of(session, runtime.settings, theirs)
            leave(session, AuditAction.CREATE_TOKEN, new.id, f"for {name}: {', '.join(sorted(new.scopes))}")
    if unheard_of:
        output.note(f"nothing is known of {', '.join(unheard_of)} yet: if that is misspelt, revoke the token")
    if as_json:
        output.json(record | {"secret": token})
        return
    output.say(f"{record['token']} is made for {name}. The token, shown this once:")
    output.say(f"\n  {token}\n")
    if not {Scope.CONSOLE_VIEW, Scope.CONSOLE_ACT}.isdisjoint(scopes):
        output.say(f"Paste it at {console} to sign in.")
    output.say(f"It is sent as `Authorization: Bearer …`; `coachsync tokens revoke {record['token']}` ends it.")


def _unheard_of(session: Session, settings: Settings, customers: Collection[str]) -> list[str]:
    """They may be new, or misspelt."""
    served = {customer for remote in settings.all_remotes for customer in remote.customers}
    return [f"customers/{one}" for one in sorted(set(customers) - served) if not has_anything(session, one)]


@app.command("list")
def list_tokens(as_json: Json = False) -> None:
    """List the tokens, newest first: whose each is, what it lets them do, when it was last used (to the minute).

    Example: coachsync tokens list
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.read() as session:
        now = database_now(session)
        records = [token_record(one, now) for one in tokens.list_all(session)]
    if as_json:
        output.json(records)
    else:
        output.table(COLUMNS, map(token_row, records), empty="no token yet: coachsync tokens create NAME --scope SCOPE")


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="As `coachsync tokens list` has it, like tok_…")],
    as_json: Json = False,
) -> None:
    """End a token. Gateways that run heed it within two seconds.

    Example: coachsync tokens revoke tok_0123456789abcdef
    """
    output = Output(as_json)
    with closing(open_runtime(output)) as runtime, runtime.database.write() as session:
        before = tokens.find(session, token)
        is_news = before is not None and before.revoked_at is None
        found = tokens.revoke(session, token)
        if found and is_news:
            leave(session, AuditAction.REVOKE_TOKEN, found.id, f"of {found.name}")
        record = token_record(found, database_now(session)) if found else None
    if record is None:
        output.fail(f"TOKEN: there is no token {token[:40]!r} (coachsync tokens list)")
    if as_json:
        output.json(record)
    else:
        output.say(f"{record['token']} of {record['name']} is revoked.")
