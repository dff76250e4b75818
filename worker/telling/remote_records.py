"""What is known of a remote, as commands show it: the same in ``status`` and in ``remotes``."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from api_adapter.rate_limit.permits import Usage, WindowUsage
from worker.configuration.remotes import Remote
from worker.core.durations import in_words
from worker.store.console_models import Halt
from worker.store.models import Pause, Quarantine
from worker.store.pauses import EVERY_LANE
from worker.store.remotes import Standing
from worker.telling.records import Fields

SECOND = timedelta(seconds=1)
WINDOWS = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}


def quarantine_record(aside: Quarantine) -> Fields:
    return {
        "since": aside.since,
        "reason": aside.reason,
        "probes": aside.probes,
        "nextProbeAt": aside.probe_due_at,
    }


def pause_record(pause: Pause, now: datetime) -> Fields:
    return {"lane": pause.lane, "until": pause.until, "secondsLeft": (pause.until - now) / SECOND}


def halt_record(halt: Halt) -> Fields:
    return {"lane": halt.lane, "since": halt.since, "by": halt.who, "why": halt.why}


def usage_record(usage: Usage | None) -> Fields:
    """None where the limiter could not be asked."""
    return {
        "limits": [_limit(window) for window in usage.windows] if usage else [],
        "inFlight": usage and usage.in_flight,
        "cooldownSeconds": usage and usage.cooldown / SECOND,
        "rateFactor": usage and usage.rate_factor,
    }


def limits_words(limits: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['used']:,} of {one['limit']:,} {_window(one)}" for one in limits) or "-"


def seconds_words(seconds: float | None) -> str:
    return in_words(timedelta(seconds=seconds)) if seconds else "-"


def halt_words(halt: Halt) -> str:
    """``paused by ann: their release is on``."""
    return f"paused by {halt.who}" + (f": {halt.why}" if halt.why else "")


def lane_words(lane: str) -> str:
    return "every lane" if lane == EVERY_LANE else f"the {lane} lane"


def remote_record(standing: Standing, remote: Remote | None, usage: Usage | None) -> Fields:
    """``remote`` is None for one that the settings do not name: nothing is sent there."""
    aside = standing.quarantine
    halted = next((halt for halt in standing.halts if halt.lane == EVERY_LANE), None)
    asked = any(pause.lane == EVERY_LANE for pause in standing.pauses) or bool(usage and usage.cooldown)
    return {
        "remote": standing.name,
        "named": remote is not None,
        "state": "in quarantine" if aside else "paused" if halted else "left alone" if asked else "ok",
        "since": aside.since if aside else halted and halted.since,
        "why": aside.reason if aside else halt_words(halted) if halted else "it asked for it" if asked else None,
        "quarantine": aside and quarantine_record(aside),
        "pauses": [pause_record(pause, standing.now) for pause in standing.pauses],
        "halts": [halt_record(halt) for halt in standing.halts],
        "waiting": standing.waiting,
        **usage_record(usage),
        "maxInFlight": remote and remote.max_in_flight,
    }


def remote_row(record: Mapping[str, Any]) -> Fields:
    """For people."""
    aside = record["quarantine"] or {}
    pauses = [f"{lane_words(one['lane'])} for {seconds_words(one['secondsLeft'])}" for one in record["pauses"]]
    pauses += [f"{lane_words(one['lane'])} by {one['by']}" for one in record["halts"]]
    return {
        **record,
        "why": record["why"] if record["named"] else "the settings do not name it",
        "probes": aside.get("probes"),
        "nextProbe": aside.get("nextProbeAt"),
        "pauses": ", ".join(pauses) or "-",
        "limits": limits_words(record["limits"]),
        "cooldown": seconds_words(record["cooldownSeconds"]),
    }


def _limit(window: WindowUsage) -> Fields:
    return {"limit": window.limit, "windowSeconds": window.window / SECOND, "used": window.used}


def _window(limit: Mapping[str, Any]) -> str:
    seconds = limit["windowSeconds"]
    return WINDOWS.get(seconds) or f"in {in_words(timedelta(seconds=seconds))}"
