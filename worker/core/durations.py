"""Pure: durations as people say them."""

from datetime import timedelta

_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def in_words(duration: timedelta) -> str:
    """``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``, ``5 d 1 h``; a negative one is no time at all."""
    duration = max(duration, timedelta(0))
    if duration < 10 * _SECOND:
        return f"{duration / _SECOND:.1f} s"
    if duration < _MINUTE:
        return f"{duration // _SECOND} s"
    if duration < _HOUR:
        return f"{duration // _MINUTE} min {duration % _MINUTE // _SECOND:02} s"
    if duration < _DAY:
        return f"{duration // _HOUR} h {duration % _HOUR // _MINUTE:02} min"
    return f"{duration // _DAY} d {duration % _DAY // _HOUR} h"
