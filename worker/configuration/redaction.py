"""What may be shown of a secret: next to nothing. Pure; the settings, the log and the console share it."""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

MASK = "••••"
_TELLING_LENGTH = 12  # two characters of a shorter secret would give too much away
_SHORTEST_KNOWN = 4  # a shorter one is found in half of all words

# Repetitions are bounded: a log line of 64 KiB must not take seconds.
_NAME = r"[\w.-]{0,40}(?:token|secret|password|passwd|pwd|api[_-]?key)"
_SECRET_PARAMETER = re.compile(
    r"([?&;][^=&;\s]*(?:pass|pwd|secret|token|key|auth|sig)[^=&;\s]*=)[^&;\s]*", re.IGNORECASE
)
_USERINFO = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)(.*)@", re.IGNORECASE | re.DOTALL)
_USER = re.compile(r"[\w.%~-]*")
_SECRET_NAME = re.compile(rf"{_NAME}|(?:proxy-)?authorization|credentials", re.IGNORECASE)
_ESCAPED = {"\\": r"\\+", '"': r'\\*"', "'": r"\\*'"}
_PATTERNS = (
    # a header as it is sent, or as a mapping prints it
    (r"(authorization[\"']?\s*[:=,]\s*[\"']?)(?:(?:bearer|basic|apikey)\s+)?[^\s\"',;}]+", rf"\1{MASK}"),
    (r"\b(bearer|basic|apikey)(\s+|%20|\+)[\w.~+/=%-]{6,}", rf"\1\2{MASK}"),
    (r"\b(wh(?:sec|sk)_)[\w+/-]{8,}=*", rf"\1{MASK}"),  # what webhooks are signed with
    (r"\b(coachsync_)[a-z0-9]{24,}", rf"\1{MASK}"),  # what the gateway lets in
    # the userinfo of a URL: up to the first slash only, a path may hold an @ of its own
    (r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s/?#@]*@", rf"\1{MASK}@"),
    (rf"(\b{_NAME}\b[\"']?\s*[:=]\s*)(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s\"',;&}}]+)", rf"\1{MASK}"),
)


def mask_secret(secret: str) -> str:
    """``••••``, with the last two characters where the secret is long enough to spare them."""
    return MASK + secret[-2:] if len(secret) >= _TELLING_LENGTH else MASK


def names_a_secret(name: str) -> bool:
    """Whether a field of this name is not to be shown at all: ``api_token``, ``client-secret``, ``Authorization``."""
    return _SECRET_NAME.fullmatch(name) is not None


def mask_url(url: str) -> str:
    """The URL without its password and without parameters that name a secret.

    Made for malformed ones too (a password with ``/`` or ``@`` in the clear): all between the scheme and the last ``@``
    goes, but a user name that certainly is one.
    """
    if "@" in url and "://" not in url:
        return f"{MASK}@{url.rsplit('@', 1)[1]}"
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", _USERINFO.sub(_masked_userinfo, url, count=1))


class Redactor:
    """Takes out of any text the secrets it knows, in whatever way they are written, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {form for secret in secrets if len(secret) >= _SHORTEST_KNOWN for form in _spellings(secret)}
        longest_first = sorted(spellings, key=lambda form: (-len(form), form))
        self._known = re.compile("|".join(map(_however_escaped, longest_first))) if longest_first else None
        self._patterns = [(re.compile(pattern, re.IGNORECASE), shown) for pattern, shown in _PATTERNS]

    def __call__(self, text: str) -> str:
        if self._known:  # first: a pattern might take a part and leave the rest unrecognised
            text = self._known.sub(MASK, text)
        for pattern, shown in self._patterns:
            text = pattern.sub(shown, text)
        return text


def _spellings(secret: str) -> set[str]:
    escaped = {json.dumps(secret)[1:-1], repr(secret)[1:-1], repr(secret.encode())[2:-1]}
    return {secret, quote(secret, safe=""), quote(secret), *escaped}


def _however_escaped(spelling: str) -> str:
    """A regular expression: JSON within JSON, or the repr of one, escapes quotes and backslashes again and again."""
    parts = re.findall(r"\\+|[\"']|[^\\\"']+", spelling)
    return "".join(_ESCAPED.get(part[0]) or re.escape(part) for part in parts)


def _masked_userinfo(match: re.Match[str]) -> str:
    """A lone user is a name for PostgreSQL; elsewhere it may be a token."""
    scheme, userinfo = match.groups()
    user, colon, _ = userinfo.partition(":")
    if not _USER.fullmatch(user) or not (colon or scheme.startswith("postgres")):
        return f"{scheme}{MASK}@"
    return f"{scheme}{user}:{MASK}@" if colon else f"{scheme}{user}@"
