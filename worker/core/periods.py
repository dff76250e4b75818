"""Pure: which evaluation period a word means at a time."""

from collections.abc import Iterable
from datetime import datetime

from schemas.coaching import EvaluationPeriod
from schemas.jobs import PeriodWord


def period_meant(word: PeriodWord, periods: Iterable[EvaluationPeriod], now: datetime) -> EvaluationPeriod | None:
    """*current* contains ``now`` (its end is not in it), *next* is the first that begins later; None: there is none."""
    if word == "current":
        fitting = [period for period in periods if period.start_time <= now < period.end_time]
    else:
        fitting = [period for period in periods if period.start_time > now]
    return min(fitting, key=lambda period: period.start_time, default=None)
