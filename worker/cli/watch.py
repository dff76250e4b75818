"""Watching a batch until it has ended. Watching changes nothing: who stops it stops no work."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from sqlalchemy.exc import DBAPIError

from worker.cli.output import ExitCode, Output
from worker.cli.summary import Summary, summarise, tell_summary
from worker.clock import utc_now
from worker.core.durations import in_words
from worker.core.progress import Pace, Sample, pace, recent
from worker.runtime import Runtime
from worker.store.engine import Database, is_passing
from worker.store.listing import find_batch
from worker.store.models import Batch
from worker.telling.records import batch_record, ended
from worker.telling.words import batch_state_words, counted_words

LOOK_EVERY = 0.5
LINE_EVERY = 5.0
QUIET_FOR = 20.0

Show = Callable[["Look"], None]


@dataclass(frozen=True, slots=True)
class Look:
    """The batch ``at`` a monotonic time. ``moved_at``: when a job of it was last seen to end."""

    batch: Batch
    at: float
    pace: Pace
    moved_at: float

    @property
    def words(self) -> str:
        if self.batch.sealed_at is None:
            return f"{self.pace.per_second:,.1f}/s, rows are still being accepted"
        left = f"about {in_words(self.pace.left)} left" if self.pace.left is not None else "nothing ends"
        return f"{self.pace.per_second:,.1f}/s, {left}"


def watch_batch(
    runtime: Runtime,
    batch_id: int,
    timeout: float | None,
    output: Output,
    *,
    beside: Mapping[str, object] = MappingProxyType({}),
    afterwards: str | None = None,
    tell: Callable[[Summary, Output], None] = tell_summary,
) -> ExitCode:
    """Show a batch's progress on stderr until it has ended, then what came of it on stdout.

    As JSON that is one object, with what is to stand ``beside`` the batch's own fields.
    ``afterwards`` says what becomes of the work once nobody watches, where it does not go on. ``tell`` tells people
    what the counters do not.
    1 where a job failed or was cancelled, 4 after ``timeout`` seconds, 130 on Ctrl-C.
    """
    afterwards = afterwards or f"the work goes on. To watch again: coachsync batches wait {batch_id}"
    batch: Batch | None = None
    try:
        with _showing(output) as show:
            hints = _Hints(output)
            for look in _looks(runtime.database, batch_id, timeout):
                if look is None:
                    hints.database_away()
                    continue
                batch = look.batch
                show(look)
                hints(look)
    except KeyboardInterrupt:
        output.note(f"Stopped watching; {afterwards}")
        return ExitCode.INTERRUPTED
    if batch is None:
        output.fail(f"BATCH: there is no batch {batch_id} (coachsync batches list)")
    _tell(runtime.database, batch, output, beside, tell)
    if batch.completed_at is None:
        output.note(f"Not ended in time; {afterwards}")
        return ExitCode.TIMED_OUT
    return ExitCode.SOME_FAILED if batch.failed or batch.cancelled else ExitCode.DONE


def _looks(database: Database, batch_id: int, timeout: float | None) -> Iterator[Look | None]:
    """Until the batch has ended or the time is over. None: the database, there before, is away and waited for."""
    started = time.monotonic()
    seen = _Seen(moved_at=started)
    pausing = threading.Event()
    while True:
        now = time.monotonic()
        try:
            batch = _read(database, batch_id)
        except DBAPIError as error:
            if not (seen.samples and is_passing(error)):
                raise
            yield None
        else:
            if batch is None:
                return
            yield seen.look(batch, now)
            if batch.completed_at:
                return
        left = LOOK_EVERY if timeout is None else started + timeout - now
        if left <= 0:
            return
        pausing.wait(min(LOOK_EVERY, left))


@dataclass(slots=True)
class _Seen:
    """What was seen of the batch lately."""

    moved_at: float
    samples: list[Sample] = field(default_factory=list)

    def look(self, batch: Batch, now: float) -> Look:
        if self.samples and ended(batch) != self.samples[-1].ended:
            self.moved_at = now
        self.samples = recent([*self.samples, Sample(now, ended(batch))])
        return Look(batch, now, pace(self.samples, batch.accepted - ended(batch)), self.moved_at)


def _read(database: Database, batch_id: int) -> Batch | None:
    with database.read() as session:
        return find_batch(session, batch_id)


def _tell(
    database: Database,
    batch: Batch,
    output: Output,
    beside: Mapping[str, object],
    tell: Callable[[Summary, Output], None],
) -> None:
    with database.read() as session:
        summary = summarise(session, batch)
    record = batch_record(batch, utc_now())
    if output.as_json:
        output.json({**record, **summary.record, **beside})
        return
    output.say(f"Batch {batch.id}: {batch_state_words(batch, utc_now())}; {record['perSecond']:,}/s")
    for line in counted_words(batch):
        output.say(f"  {line}")
    tell(summary, output)


class _Lines:
    """For a log: a line now and then."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._told_at = time.monotonic()

    def __call__(self, look: Look) -> None:
        if look.at - self._told_at >= LINE_EVERY:
            self._told_at = look.at
            batch = look.batch
            failed = f" ({batch.failed:,} failed)" if batch.failed else ""
            self._output.err.print(
                f"batch {batch.id}: {ended(batch):,} of {batch.accepted:,} ended{failed}, {look.words}"
            )


class _Hints:
    """What to know where nothing moves, each said once."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._said: set[str] = set()

    def __call__(self, look: Look) -> None:
        if look.at - look.moved_at > QUIET_FOR:
            self._say(f"No job has ended for {QUIET_FOR:.0f} s: `coachsync status` says what stands in the way.")

    def database_away(self) -> None:
        self._say("The database cannot be reached just now; the watching goes on.")

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            self._output.note(sentence)


@contextmanager
def _showing(output: Output) -> Iterator[Show]:
    if not output.err.is_terminal:
        yield _Lines(output)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[words]}"),
        console=output.err,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=None, words="")

        def show(look: Look) -> None:
            batch = look.batch
            progress.update(
                task,
                description=f"batch {batch.id}",
                completed=ended(batch),
                total=batch.accepted if batch.sealed_at else None,
                words=look.words + (f", {batch.failed:,} failed" if batch.failed else ""),
            )

        yield show
