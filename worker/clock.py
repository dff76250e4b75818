"""The process's clock, random source and id source: taken here, handed to everything else."""

import random  # noqa: TID251 - the one place that draws
import uuid
from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads the clock


def uniform() -> float:
    """[0, 1), for jitter only."""
    return random.random()  # noqa: S311 - jitter is no secret


def new_id() -> str:
    return uuid.uuid4().hex
