"""How long an answer asks us to wait, out of the headers it may say so in. Pure.

RFC 9110 `Retry-After` outranks the IETF httpapi draft's `RateLimit` (list form and the older forms), which outranks
`X-RateLimit-Reset`. A reset only asks for a wait when nothing remains. What is malformed or negative is ignored.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

LONGEST_WAIT = timedelta(hours=24)

_NAMES = ("retry-after", "ratelimit", "ratelimit-reset", "x-ratelimit-reset")
_SECONDS = re.compile(r"[0-9]+")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_HTTP_DATES = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_CLOCK} GMT",  # IMF-fixdate
        rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_CLOCK} GMT",  # RFC 850
        rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})",  # asctime
    )
)
_EPOCH_SECONDS = 10**9  # a number from here on is no delta (31 years) but a time since 1970
_EPOCH_MILLISECONDS = 10**11


def parse_wait(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """The wait asked for, from zero to ``LONGEST_WAIT``; None if none is.

    A time is held against the answer's own ``Date``, else against ``now``: our clock and the remote's may differ.
    ``headers`` are looked up by their lower-case names: any case-insensitive mapping, or a dict of such names.
    """
    if not any(name in headers for name in _NAMES):
        return None
    now = parse_http_date(headers.get("date", "").strip(), now) or now
    for wait in (
        _retry_after(headers.get("retry-after", ""), now),
        _rate_limit(headers.get("ratelimit", "")),
        _reset(headers, "ratelimit", now),
        _reset(headers, "x-ratelimit", now),
    ):
        if wait is not None:
            return min(max(wait, timedelta(0)), LONGEST_WAIT)
    return None


def parse_http_date(text: str, now: datetime) -> datetime | None:
    """Any of RFC 9110's three forms (§5.6.7); ``now`` settles the century of a two-digit year."""
    for form in _HTTP_DATES:
        if match := form.fullmatch(text):
            return _date(match.groupdict(), now)
    return None


def _date(parts: dict[str, str], now: datetime) -> datetime | None:
    year = int(parts["year"])
    if len(parts["year"]) == len("94"):
        year += now.year // 100 * 100
        if year > now.year + 50:  # §5.6.7: more than 50 years ahead is the past with the same digits
            year -= 100
    second = min(int(parts["second"]), 59)  # 60 is a leap second
    month, day = _MONTHS.index(parts["month"]) + 1, int(parts["day"])
    try:
        return datetime(year, month, day, int(parts["hour"]), int(parts["minute"]), second, tzinfo=UTC)
    except ValueError:
        return None


def _retry_after(text: str, now: datetime) -> timedelta | None:
    seconds = _number(text)
    if seconds is not None:
        return _delta(seconds)
    date = parse_http_date(text.strip(), now)
    return None if date is None else date - now


def _rate_limit(text: str) -> timedelta | None:
    """`"burst";r=0;t=30, "day";r=9;t=600` (draft -08 and later) or `limit=9, remaining=0, reset=30` (before)."""
    items = [_parameters(item) for item in _QUOTED.sub("", text).split(",")]
    older = {name: value for item in items for name, value in item.items()}
    if older.get("remaining") == "0":
        items.append({"r": "0", "t": older.get("reset", "")})
    resets = [_number(item.get("t", "")) for item in items if item.get("r") == "0"]
    waits = [_delta(seconds) for seconds in resets if seconds is not None]
    return max(waits, default=None)


def _parameters(item: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in item.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _reset(headers: Mapping[str, str], family: str, now: datetime) -> timedelta | None:
    """`{family}-Remaining` and `-Reset`; the reset is a delta, or a time since 1970 in seconds or milliseconds."""
    if _number(headers.get(f"{family}-remaining", "")) != 0:
        return None
    reset = _number(headers.get(f"{family}-reset", ""))
    if reset is None:
        return None
    if reset >= _EPOCH_MILLISECONDS:
        reset //= 1000
    return _delta(reset - int(now.timestamp()) if reset >= _EPOCH_SECONDS else reset)


def _number(text: str) -> int | None:
    """Plain digits, cut to 15 of them: more is beyond every cap, and ``int`` refuses thousands of digits."""
    text = text.strip()
    return int(text[:15]) if _SECONDS.fullmatch(text) else None


def _delta(seconds: int) -> timedelta:
    return min(timedelta(seconds=min(seconds, 10**9)), LONGEST_WAIT)
