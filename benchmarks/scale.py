"""How large a run is. One value, which every workload takes its sizes from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from benchmarks.figures import OURS


@dataclass(frozen=True, slots=True)
class Scale:
    """``seconds`` of those that watch for a while; ``contenders`` are all where none is named."""

    rounds: int
    updates: int
    enqueued: Sequence[int]
    backlog: int
    stored: Sequence[int]
    messages: int
    seconds: int
    processes: Sequence[int]
    latencies: Sequence[float]
    limits: Sequence[str]
    contenders: Sequence[str] = ()

    def having(
        self, *, rounds: int | None, seconds: int | None, million: bool, contenders: Sequence[str] | None
    ) -> Self:
        return replace(
            self,
            rounds=rounds or self.rounds,
            seconds=seconds or self.seconds,
            enqueued=(*self.enqueued, 1_000_000) if million else self.enqueued,
            stored=(*self.stored, 1_000_000) if million else self.stored,
            contenders=contenders or self.contenders,
        )

    def wants(self, contender: str) -> bool:
        return not self.contenders or contender in self.contenders


FULL = Scale(
    rounds=3,
    updates=5_000,
    enqueued=(10_000, 100_000),
    backlog=100_000,
    stored=(1_000, 10_000, 100_000),
    messages=5_000,
    seconds=60,
    processes=(1, 4, 8),
    latencies=(0.0, 0.05),
    limits=("5/second", "20/second", "100/second", "1000/second"),
)
QUICK = Scale(
    rounds=1,
    updates=200,
    enqueued=(1_000,),
    backlog=2_000,
    stored=(1_000, 5_000),
    messages=500,
    seconds=3,
    processes=(2,),
    latencies=(0.0,),
    limits=("100/second",),
    contenders=(OURS, "Celery", "taskiq", "bare loop", "bare loop, httpx-aiohttp", "limits"),
)
