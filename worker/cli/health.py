"""``coachsync health``: is the process of a role live, started, ready. Made for probes: it imports next to nothing."""

import json
import socket
import sys
import time
from collections.abc import Mapping
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from worker.configuration.home import home_given
from worker.telemetry.health import WITHIN, Question, Verdict, judge, pulses_of
from worker.telemetry.pulse import Pulse


class Role(StrEnum):
    WORKER = "worker"
    LOOPS = "loops"
    DELIVERER = "deliverer"
    GATEWAY = "gateway"


def register(root: typer.Typer) -> None:
    root.command()(health)


def health(
    role: Annotated[Role, typer.Argument(help="worker, loops, deliverer or gateway.", metavar="ROLE")],
    _live: Annotated[
        bool, typer.Option("--live", help="Does it go on? If not, a restart may help. The default.")
    ] = False,
    ready: Annotated[bool, typer.Option("--ready", help="Live, started, and can reach what it needs?")] = False,
    startup: Annotated[bool, typer.Option("--startup", help="Has each of its parts passed once?")] = False,
    within: Annotated[
        float, typer.Option("--within", min=1, help="Seconds that a part may be silent, beside its own pause.")
    ] = WITHIN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a line.")] = False,
) -> None:
    """Say how the processes of a role on this machine are; made for the probes of containers.

    It reads what they say of themselves in the home, and asks neither the database nor the broker: while one of them is
    away a process is live, and not ready. Exit code 0: all of them are well; 1: they are not, and the line says why.

    Example: coachsync health worker --live
    """
    if _live + ready + startup > 1:
        raise typer.BadParameter("give one of --live, --ready and --startup")
    question = Question.READY if ready else Question.STARTUP if startup else Question.LIVE
    pulses = pulses_of(_home(), role, socket.gethostname())
    now = time.monotonic()
    verdict = judge(pulses, question, now, within)
    if as_json:
        sys.stdout.write(json.dumps(_record(role, question, verdict, pulses, now), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(verdict.reasons or (f"{role}: {question.answer}",)) + "\n")
    raise typer.Exit(0 if verdict.well else 1)


def _home() -> Path:
    return home_given() or import_module("worker.configuration.settings").from_environment().home


def _record(
    role: Role, question: Question, verdict: Verdict, pulses: Mapping[str, Pulse], now: float
) -> dict[str, Any]:
    return {
        "role": role,
        "question": question,
        "well": verdict.well,
        "reasons": verdict.reasons,
        "processes": [
            {
                "name": name,
                "pid": pulse.pid,
                "upSeconds": round(now - pulse.began_at, 3),
                "lacks": pulse.lacks,
                "parts": {
                    part: None if told.passed_at is None else {"silentSeconds": round(now - told.passed_at, 3)}
                    for part, told in pulse.parts.items()
                },
            }
            for name, pulse in pulses.items()
        ],
    }
