"""Where a contender's processes find broker, database and remote: told by the environment, as real ones are told."""

import os
from dataclasses import dataclass
from typing import Self

READY = "worker ready"  # what a peer's worker prints, whose log is silenced
_NAMES = {"broker": "BENCH_BROKER", "database": "BENCH_DATABASE", "remote": "BENCH_REMOTE"}


@dataclass(frozen=True, slots=True)
class Place:
    """``database`` is a plain url: ``postgresql://…`` or ``sqlite:///…``."""

    broker: str
    database: str
    remote: str

    def as_environment(self) -> dict[str, str]:
        return {variable: getattr(self, name) for name, variable in _NAMES.items()}

    @classmethod
    def from_environment(cls) -> Self:
        return cls(**{name: os.environ[variable] for name, variable in _NAMES.items()})  # noqa: TID251 - its one reader
