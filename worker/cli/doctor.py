"""``coachsync doctor``: is everything in place, and if not, what to do."""

import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

import typer
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from api_adapter.outcomes import Answered, Missing, Outcome, Refused, Unauthorized
from api_adapter.rate_limit.permits import Permit
from schemas.coaching import Target
from schemas.lanes import Lane
from worker.cli.options import Json
from worker.cli.output import ExitCode, Output
from worker.clock import utc_now
from worker.configuration import settings as settings_module
from worker.configuration.problems import SettingsError
from worker.configuration.remotes import Remote
from worker.configuration.settings import Settings
from worker.core.verdict import MAKE_ALIKE, silence_words, strange_words
from worker.counts import counted
from worker.fleet import Fleet, look, strangers, why_away
from worker.runtime import Runtime, WorkerRuntime
from worker.store import endpoints, schema
from worker.store.depths import lane_depths
from worker.store.engine import database_now
from worker.store.heartbeats import Loops, deliverers, loops
from worker.store.remote_urls import moved_from, urls_known
from worker.telemetry.health import Question, judge, pulses_of
from worker.webhooks.sealing import CannotUnseal
from worker.webhooks.setup import sealer_of

MOST_SKEW = timedelta(seconds=5)
LEAST_DISK = 500 * 1024 * 1024


class Health(StrEnum):
    OK = "ok"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """``remedy`` is empty where nothing needs one."""

    what: str
    health: Health
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database says of processes, and of where the remotes are."""

    loops: Loops = field(default_factory=Loops)
    waiting: int = 0
    urls: Mapping[str, str] = field(default_factory=dict)


def register(root: typer.Typer) -> None:
    root.command()(doctor)


def doctor(as_json: Json = False) -> None:
    """Check settings, database, migrations, clock, broker, remotes and processes; say the remedy for what is wrong.

    It asks each remote for a target that does not exist: one read, which changes nothing. Exit code 1: something
    is broken.

    Example: coachsync doctor
    """
    output = Output(as_json)
    findings = _findings()
    rows = [{"what": f.what, "health": str(f.health), "found": f.found, "remedy": f.remedy} for f in findings]
    output.table(("what", "health", "found", "remedy"), rows, empty="nothing to examine")
    broken = any(finding.health is Health.BROKEN for finding in findings)
    raise typer.Exit(ExitCode.SOME_FAILED if broken else ExitCode.DONE)


def _findings() -> list[Finding]:
    try:
        with closing(Runtime(settings_module.from_environment())) as runtime:
            return list(_examine(runtime))
    except SettingsError as error:
        return [
            Finding("settings", Health.BROKEN, problem, "see docs/reference/settings.md") for problem in error.problems
        ]


def _examine(runtime: Runtime) -> Iterator[Finding]:
    yield Finding("settings", Health.OK, "can be read")
    yield (database := _database(runtime))
    stored = Stored() if database.health is Health.BROKEN else _read(runtime)
    yield _disk(runtime)
    fleet = look(runtime)
    yield _broker(runtime, fleet)
    if database.health is not Health.BROKEN:
        yield _loops(stored)
        yield from _webhooks(runtime)
    yield _gateway(runtime.settings)
    if strange := strangers(stored.loops.beating, fleet.workers, runtime.settings.all_remotes):
        yield Finding("processes", Health.WARNING, strange_words(strange), MAKE_ALIKE)
    if not runtime.settings.all_remotes:
        yield Finding("remotes", Health.BROKEN, "none", "set COACHSYNC_API_URL, or a [remotes.NAME] in coachsync.toml")
    for remote in runtime.settings.all_remotes:
        if moved := moved_from(remote, stored.urls):
            yield Finding(f"remote {remote.name}", Health.BROKEN, moved.found, moved.remedy)
        else:
            yield _remote(runtime, remote)


def _database(runtime: Runtime) -> Finding:
    try:
        version = schema.version(runtime.database)
        schema.refuse_newer(version)
        if version != schema.newest():
            found = f"schema at {version or 'nothing'}, {schema.newest()} is needed"
            return Finding("database", Health.BROKEN, found, "run `coachsync db upgrade`")
        with runtime.database.read() as session:
            skew = abs(database_now(session) - utc_now())
    except schema.NewerSchema as error:
        found, _, remedy = str(error).partition(": ")
        return Finding("database", Health.BROKEN, found, remedy)
    except SQLAlchemyError as error:
        reason = str(error).splitlines()[0]
        return Finding("database", Health.BROKEN, reason, "check COACHSYNC_DATABASE_URL, and that the server runs")
    if skew > MOST_SKEW:
        found = f"its clock and ours are {skew.total_seconds():.0f} s apart"
        return Finding("database", Health.WARNING, found, "synchronise both machines' clocks (NTP)")
    return Finding("database", Health.OK, f"schema {version}, clock agrees")


def _read(runtime: Runtime) -> Stored:
    with runtime.database.read() as session:
        depths = lane_depths(session, database_now(session))
        return Stored(loops(session), sum(depth.due + depth.later for depth in depths), urls_known(session))


def _webhooks(runtime: Runtime) -> Iterator[Finding]:
    with runtime.database.read() as session:
        sealed = [one.sealed for one in endpoints.secrets_of(session, [one.id for one in endpoints.list_all(session)])]
        sending = len(deliverers(session))
    if sealed:
        yield _secrets(runtime.settings, sealed)
    if sending:
        yield Finding("deliverer", Health.OK, f"{sending} seen")
    elif sealed:
        yield Finding("deliverer", Health.WARNING, "none seen; nobody is told", "start `coachsync webhooks deliver`")
    else:
        yield Finding("deliverer", Health.OK, "none seen; there is nobody to tell")


def _secrets(settings: Settings, sealed: Sequence[str]) -> Finding:
    try:
        sealer = sealer_of(settings)
        for one in sealed:
            sealer.unseal(one)
    except CannotUnseal as error:
        found, _, remedy = str(error).partition(": ")
        return Finding("webhooks", Health.BROKEN, found, remedy)
    return Finding("webhooks", Health.OK, f"{counted(len(sealed), 'secret')} can be read")


def _gateway(settings: Settings) -> Finding:
    """As those on this machine say of themselves; which is what `coachsync health gateway --ready` asks."""
    pulses = pulses_of(settings.home, "gateway", socket.gethostname())
    if not pulses:
        return Finding("gateway", Health.OK, "none here; the HTTP door and the console need one")
    verdict = judge(pulses, Question.READY, time.monotonic())
    if verdict.well:
        return Finding("gateway", Health.OK, f"{len(pulses)} here")
    remedy = "see its log; restart it where `coachsync health gateway --live` fails too"
    return Finding("gateway", Health.BROKEN, "; ".join(verdict.reasons), remedy)


def _disk(runtime: Runtime) -> Finding:
    home = runtime.settings.home
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return Finding("home", Health.BROKEN, f"{home} cannot be written", "name another in COACHSYNC_HOME")
    if free < LEAST_DISK:
        return Finding(
            "home", Health.WARNING, f"{free // 1024**2} MiB free in {home}", "make room: a full disk stops all"
        )
    return Finding("home", Health.OK, f"{home}, {free // 1024**3} GiB free")


def _broker(runtime: Runtime, fleet: Fleet) -> Finding:
    if fleet.broker_error:
        return _broker_away(fleet.broker_error, runtime.settings)
    try:
        info = runtime.redis.info()
        policy = runtime.redis.config_get("maxmemory-policy").get("maxmemory-policy", "noeviction")
    except RedisError as error:
        return _broker_away(why_away(error), runtime.settings)
    server = f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info.get('redis_version')}"
    if policy != "noeviction":
        found = f"{server} may evict keys ({policy})"
        return Finding("broker", Health.WARNING, found, "set maxmemory-policy noeviction: the limiter must not forget")
    if not info.get("aof_enabled"):
        found = f"{server} keeps nothing over a restart"
        return Finding(
            "broker", Health.WARNING, found, "set appendonly yes: restarts are then quicker; nothing is lost"
        )
    if not fleet.workers:
        return Finding("broker", Health.WARNING, f"{server}; no worker answers", "start `coachsync worker` or `up`")
    answering = counted(len(fleet.workers), "worker answers", "workers answer")
    return Finding("broker", Health.OK, f"{server}, {answering}")


def _broker_away(why: str, settings: Settings) -> Finding:
    remedy = (
        "start `coachsync up`" if settings.embedded_broker else "check COACHSYNC_BROKER_URL, and that the server runs"
    )
    return Finding("broker", Health.BROKEN, why, remedy)


def _loops(stored: Stored) -> Finding:
    if beating := len(stored.loops.beating):
        return Finding("loops", Health.OK, f"{beating} seen")
    health = Health.BROKEN if stored.waiting else Health.WARNING
    found = silence_words(stored.loops.silent_for, stored.waiting)
    return Finding("loops", health, found, "start `coachsync loops` or `up`")


def _remote(runtime: Runtime, remote: Remote) -> Finding:
    what = f"remote {remote.name}"
    worker = WorkerRuntime(runtime)
    outcome = worker.ask(remote.name, lambda client: client.get_target(_permit(remote), _nobody(remote)))
    worker.close()
    match outcome:
        case Answered() | Missing() | Refused():
            return Finding(what, Health.OK, f"{remote.api_url} answers in {_ms(outcome)} ms")
        case Unauthorized(message=message):
            remedy = "renew the token it is given (see `coachsync config`)"
            return Finding(what, Health.BROKEN, f"{remote.api_url} does not let us in: {message}", remedy)
        case _:
            message = getattr(outcome, "message", "no answer")
            remedy = "check its URL, the network, and its status page"
            return Finding(what, Health.BROKEN, f"{remote.api_url}: {message}", remedy)


def _permit(remote: Remote) -> Permit:
    """One request of a person's, outside of the limiter: the broker may be what is being looked into."""
    return Permit(remote.name, Lane.INTERACTIVE, "doctor", time.monotonic() + remote.request_timeout.total_seconds())


def _nobody(remote: Remote) -> str:
    customer = remote.customers[0] if remote.customers else "any"
    return f"customers/{customer}/profiles/any/targets/coachsync-doctor"


def _ms(outcome: Outcome[Target]) -> str:
    return f"{outcome.exchange.latency / timedelta(milliseconds=1):.0f}"
