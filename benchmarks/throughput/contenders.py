"""Who is measured, with which programs, and on which databases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import Child, python
from benchmarks.figures import OURS
from benchmarks.site import ENGINES
from benchmarks.throughput.place import READY, Place

PROCESSES = 2
THREADS = 8
AT_ONCE = 50
_TASKS = "benchmarks.throughput.tasks"
_POSTGRES = ENGINES[:1]


@dataclass(frozen=True, slots=True)
class Contender:
    """``tasks`` is its module in ``tasks``; ``keeps`` outcomes, or is a ceiling. ``producers`` share the updates."""

    name: str
    tasks: str
    programs: Sequence[Child] = ()
    engines: Sequence[str] = _POSTGRES
    keeps: bool = True
    producers: int = 1
    note: str = ""
    absent: bool = False


def _celery(number: int, *options: str) -> Child:
    arguments = ["-A", f"{_TASKS}.celery_tasks", "worker", "--loglevel", "warning", "--without-gossip"]
    command = python("celery", *arguments, "--without-mingle", "--hostname", f"plain-{number}@%h", *options)
    return Child(f"celery-{number}", command, READY)


_OURS = (
    Child("worker", python("worker.cli", "worker", "--concurrency", str(PROCESSES)), " ready."),
    Child("loops", python("worker.cli", "loops")),
)
_DRAMATIQ = Child(
    "dramatiq",
    python("dramatiq", f"{_TASKS}.dramatiq_tasks", "--processes", str(PROCESSES), "--threads", str(THREADS)),
    "Worker process is ready for action.",
    PROCESSES,
)
_TASKIQ_OPTIONS = ["--workers", str(PROCESSES), "--max-async-tasks", str(AT_ONCE), "--ack-type", "when_executed"]
_TASKIQ = Child(
    "taskiq",
    python("taskiq", "worker", f"{_TASKS}.taskiq_tasks:broker", *_TASKIQ_OPTIONS, "--log-level", "WARNING"),
    READY,
    PROCESSES,
)
_HUEY = Child(
    "huey",
    python("huey.bin.huey_consumer", f"{_TASKS}.huey_tasks.huey", "-k", "process", "-w", str(PROCESSES), "-q"),
    READY,
    PROCESSES,
)
_PROCRASTINATE = [
    Child(f"procrastinate-{number}", python(f"{_TASKS}.procrastinate_worker"), READY) for number in range(PROCESSES)
]
_ONE_AT_A_TIME = "one update at a time in each process"
_REFUSED = "not run: its newest version refuses the Redis client that coachsync has"

CONTENDERS = (
    Contender(OURS, "ours", _OURS, ENGINES),
    Contender(
        "Celery",
        "celery_tasks",
        [_celery(1, "--concurrency", str(PROCESSES))],
        ENGINES,
        note=f"prefork, late acknowledgement, {_ONE_AT_A_TIME}",
    ),
    Contender(
        "Celery, threads",
        "celery_tasks",
        [_celery(one, "--pool", "threads", "--concurrency", str(THREADS)) for one in range(1, PROCESSES + 1)],
        note=f"late acknowledgement, {THREADS} threads a process",
    ),
    Contender("Dramatiq", "dramatiq_tasks", [_DRAMATIQ], note=f"{THREADS} threads a process"),
    Contender("taskiq", "taskiq_tasks", [_TASKIQ], note=f"Redis stream, {AT_ONCE} coroutines a process"),
    Contender(
        "procrastinate",
        "procrastinate_tasks",
        _PROCRASTINATE,
        note=f"jobs in the database, {AT_ONCE} coroutines a process",
    ),
    Contender("huey", "huey_tasks", [_HUEY], note=f"no acknowledgement, {_ONE_AT_A_TIME}"),
    Contender("arq", "", note=f"{_REFUSED} (redis<6)", absent=True),
    Contender("SAQ", "", note=f"{_REFUSED} (redis<8)", absent=True),
    Contender(
        "bare loop, httpx-aiohttp",
        "bare_aiohttp",
        keeps=False,
        producers=PROCESSES,
        note="a ceiling: nothing is kept, nothing is repeated",
    ),
    Contender("bare loop, httpx", "bare_httpx", keeps=False, producers=PROCESSES, note="as the other bare loop"),
)


def environment_of(contender: Contender, place: Place, folder: Path, database: str) -> dict[str, str]:
    """What its processes are told. ``database`` is SQLAlchemy's url."""
    return our_environment(place, folder, database) if contender.name == OURS else place.as_environment()


def our_environment(place: Place, folder: Path, database: str) -> dict[str, str]:
    """The limit is far above what can be reached."""
    return {
        "COACHSYNC_HOME": str(folder),
        "COACHSYNC_DATABASE_URL": database,
        "COACHSYNC_BROKER_URL": place.broker,
        "COACHSYNC_API_URL": place.remote,
        "COACHSYNC_API_TOKEN": "a-token",
        "COACHSYNC_RATE_LIMIT": "100000/second",
        "COACHSYNC_MAX_IN_FLIGHT": str(PROCESSES * AT_ONCE),
    }
