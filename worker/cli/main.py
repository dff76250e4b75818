"""The ``coachsync`` command. Each group of commands is a module beside this one; this one catches what they raise."""

import signal
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from kombu.exceptions import OperationalError as BrokerError
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError
from typer.core import TyperGroup
from typer.exceptions import TyperException

from worker.cli.database_words import database_words, first_line
from worker.cli.output import ExitCode, Output
from worker.cli.usage import usage_words
from worker.configuration.problems import SettingsError
from worker.core.guard import GuardTripped
from worker.intake.accept import KeyConflict
from worker.intake.source import FileRefused
from worker.store.remote_urls import RemoteMoved
from worker.store.schema import NewerSchema

GROUPS = (
    "up",
    "demo",
    "processes",
    "targets",
    "quotas",
    "jobs",
    "batches",
    "remotes",
    "roster",
    "agents",
    "policy",
    "approvals",
    "reconcile",
    "webhooks",
    "audit",
    "gateway",
    "tokens",
    "explain",
    "status",
    "health",
    "doctor",
    "configuration",
    "database",
)


class Interruptible(TyperGroup):
    """Typer ends a command on Ctrl-C with 130 and no word."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Output().fail("interrupted", ExitCode.INTERRUPTED)


app = typer.Typer(
    name="coachsync",
    cls=Interruptible,
    help="Keeps coaching targets and quotas true: durable, rate-limited, idempotent updates of a Coaching API.",
    epilog=(
        "Exit codes: 0 done · 1 some work failed · 2 bad input, nothing written · 3 stopped by the guard,"
        " nothing written · 4 timed out · 130 interrupted"
    ),
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"coachsync {version('coachsync')}\n")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


@cache
def build() -> typer.Typer:
    """The command with all its groups registered."""
    for name in GROUPS:
        import_module(f"worker.cli.{name}").register(app)
    return app


def main() -> None:
    """Run, and turn what may happen to a user into one line and an exit code."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    output = Output()
    try:
        sys.exit(build()(standalone_mode=False) or ExitCode.DONE)
    except TyperException as error:
        _end_with_usage(output, error)
    except SettingsError as error:
        for line in str(error).splitlines():
            output.err.print(f"error: {line}", markup=False)
        sys.exit(ExitCode.REFUSED)
    except (FileRefused, KeyConflict, NewerSchema, RemoteMoved) as error:
        _end(output, str(error), ExitCode.REFUSED)
    except GuardTripped as error:
        remedy = f"`coachsync approvals approve {error.approval_id}`, then the same command again, or --approve"
        _end(output, f"{error}; if that is right: {remedy}", ExitCode.GUARDED)
    except SQLAlchemyError as error:
        _end(output, f"{database_words(error)} (coachsync doctor says more)")
    except (RedisError, BrokerError) as error:
        _end(output, f"the broker cannot be reached: {first_line(error)} (coachsync doctor says more)")
    except KeyboardInterrupt:
        _end(output, "interrupted", ExitCode.INTERRUPTED)


def _end_with_usage(output: Output, error: TyperException) -> None:
    if message := usage_words(error):
        output.err.print(f"error: {message} (--help says more)", markup=False)
    sys.exit(error.exit_code)


def _end(output: Output, message: str, code: ExitCode = ExitCode.SOME_FAILED) -> None:
    output.err.print(f"error: {message}", markup=False)
    sys.exit(code)
