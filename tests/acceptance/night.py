"""A whole night of an installation: a big file, a remote that errs, a worker killed and the broker wiped half way.

``live_through`` runs it and returns the story; what must be true of it is in test_whole_batch.py.
"""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from tests.acceptance.installation import Installation, wait_until
from tests.acceptance.measures import Span, Use, spans_where, use_of_limit
from tests.acceptance.remote import Arrival, Effect
from tests.acceptance.wishes import WishFile, correction_file, nightly_file, wishes_by_target
from worker.store.models import Batch

WAIT = 1.0  # what Retry-After asks for in these nights
COLD = 2.0  # a limiter that has lost its memory waits a second, and a window: nobody knows what was sent before
WAITING = 50  # due jobs that nobody holds: fewer may be about to be taken
SAMPLE_EVERY = 0.05


KINDS: tuple[Mapping[str, Any], ...] = (
    {"kind": "status", "status": 429, "retry_after": f"{WAIT:g}"},
    {"kind": "status", "status": 503, "retry_after": f"{WAIT:g}"},
    {"kind": "html", "status": 503},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 502, "written": True},
    {"kind": "cut_before"},
    {"kind": "cut_after"},
    {"kind": "delay", "delay": 3.0},  # past the request's timeout
    {"kind": "garbage"},
    {"kind": "html", "status": 200},
)


@dataclass(frozen=True, slots=True)
class Plan:
    """``rate`` requests a second, at least ``use`` of them while work waits; ``faulty`` is the share that errs."""

    rows: int
    rate: int
    use: float
    faulty: float = 0.02

    @property
    def patience(self) -> float:
        """Seconds, on a machine that has other things to do."""
        return 120 + 4 * self.rows / self.rate


@dataclass
class Story:
    """What there is to judge when all has ended. ``receipts`` are the commands' own words."""

    plan: Plan
    files: list[WishFile]
    receipts: list[dict[str, Any]]
    batches: list[Batch]
    arrivals: list[Arrival]
    effects: list[Effect]
    states: Mapping[str, int]
    most_in_a_second: int
    use: Use
    seconds: float

    @property
    def wanted(self) -> dict[str, float]:
        return {name: values[-1] for name, values in self._wishes.items()}

    def values_by_target(self) -> dict[str, list[float]]:
        written = defaultdict[str, list[float]](list)
        for effect in self.effects:
            written[effect.name].append(effect.value)
        return written

    def wishes_for(self, name: str) -> list[float]:
        """Their values, oldest wish first."""
        return self._wishes[name]

    @cached_property
    def _wishes(self) -> dict[str, list[float]]:
        return wishes_by_target(self.files)

    @property
    def figures(self) -> str:
        faults = sum(bool(one.fault) for one in self.arrivals)
        announced = sum(_asks_to_wait(one) for one in self.arrivals)
        return (
            f"{self.plan.rows:,} rows at {self.plan.rate}/s in {self.seconds:.0f} s: {len(self.arrivals):,} requests,"
            f" {len(self.effects):,} effects, {faults} faults, {announced} cooldowns;"
            f" most in a second {self.most_in_a_second}, {self.use.share:.1%} of the limit used over"
            f" {self.use.seconds:.1f} s of waiting work; {dict(self.states)}"
        )


@dataclass
class Observer:
    """Looks every so often whether work waits, until told to stop."""

    installation: Installation
    samples: list[tuple[float, bool]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def _look(self) -> None:
        while not self.stop.wait(SAMPLE_EVERY):
            self.samples.append((time.monotonic(), self.installation.due() >= WAITING))


def live_through(installation: Installation, plan: Plan) -> Story:
    """On a running installation, from the file to the last job's end."""
    remote = installation.remote
    remote.limit(f"{plan.rate}/second")  # the remote's own: whoever exceeds it is told so
    remote.script(_faults(plan))
    night = nightly_file(plan.rows)
    started = time.monotonic()
    with Observer(installation) as observer:
        receipts = [_apply(installation, night, "night")]
        half = receipts[0]["accepted"] // 2
        wait_until(lambda: _succeeded(installation, receipts[0]) >= half, "half is done", seconds=plan.patience)
        installation.started["worker-1"].kill("SIGKILL")
        installation.valkey.flush()
        flushed = time.monotonic()
        correction = correction_file(range(0, plan.rows // 2, 17))
        receipts.append(_apply(installation, correction, "correction", "--approve"))
        ids = [receipt["batch"] for receipt in receipts]
        installation.await_end(*ids, seconds=plan.patience)
        ended = time.monotonic()
    arrivals = remote.arrivals()
    return Story(
        plan=plan,
        files=[night, correction],
        receipts=receipts,
        batches=[installation.batch(one) for one in ids],
        arrivals=arrivals,
        effects=remote.effects(),
        states=installation.states(*ids),
        most_in_a_second=remote.most_in(1),
        use=_use(plan, arrivals, observer.samples, flushed),
        seconds=ended - started,
    )


def _faults(plan: Plan) -> list[dict[str, Any]]:
    match = {"path": "/v1/*", "probability": plan.faulty / len(KINDS)}
    return [{"match": match, "fault": fault} for fault in KINDS]


def _use(plan: Plan, arrivals: list[Arrival], samples: list[tuple[float, bool]], flushed: float) -> Use:
    cold = [Span(0.0, arrivals[0].at), Span(flushed, _first_after(arrivals, flushed + COLD))]
    cooldowns = [Span(one.at, one.at + WAIT) for one in arrivals if _asks_to_wait(one)]
    return use_of_limit([one.at for one in arrivals], plan.rate, spans_where(samples), [*cold, *cooldowns])


def _first_after(arrivals: list[Arrival], at: float) -> float:
    return min((one.at for one in arrivals if one.at > at), default=at)


def _asks_to_wait(one: Arrival) -> bool:
    """As KINDS has it: the 503 of a proxy's page names no wait."""
    return one.status == 429 or (one.status == 503 and one.fault == "status")


def _apply(installation: Installation, file: WishFile, name: str, *options: str) -> dict[str, Any]:
    path = installation.folder / f"{name}.csv"
    path.write_text(file.text)
    _, printed = installation.coachsync("targets", "apply", str(path), "--json", "--key", name, *options)
    receipt: dict[str, Any] = json.loads(printed)
    return receipt


def _succeeded(installation: Installation, receipt: Mapping[str, Any]) -> int:
    return installation.batch(receipt["batch"]).succeeded
