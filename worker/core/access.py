"""Pure: API tokens: how one looks, and what its holder may do.

A token is ``coachsync_``, 30 random letters and digits, and 6 that check them: a secret scanner finds it by one
pattern, and what is no token is told from one without a look at the database. Of a token only its SHA-256 is kept; it
has 178 random bits, so nothing slower is needed.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from schemas.names import customer_of

PREFIX = "coachsync_"
PATTERN = re.compile(r"coachsync_[0-9A-Za-z]{36}")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM, _CHECK = 30, 6
_RANDOM_BYTES = 32  # ten bytes more than 30 letters hold: no letter is likelier than another


class Scope(StrEnum):
    TARGETS_WRITE = "targets:write"
    QUOTAS_WRITE = "quotas:write"
    ROSTER_WRITE = "roster:write"
    READ = "read"
    CONSOLE_VIEW = "console:view"
    CONSOLE_ACT = "console:act"
    METRICS_READ = "metrics:read"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who a token stands for. ``customers`` are ids, like ``acme``; without any, all are theirs."""

    token_id: str
    name: str
    scopes: frozenset[Scope]
    customers: frozenset[str] = frozenset()

    def may(self, scope: Scope) -> bool:
        """Who may act in the console may look at it."""
        return scope in self.scopes or (scope is Scope.CONSOLE_VIEW and Scope.CONSOLE_ACT in self.scopes)

    def owns(self, resource: str) -> bool:
        """Whether a name (``customers/…``), or what begins with one, is theirs to see and to write."""
        return not self.customers or (resource.startswith("customers/") and customer_of(resource) in self.customers)

    def owns_all(self, customers: Collection[str]) -> bool:
        """Of something that is for these customers and, where there are none, for all."""
        return not self.customers or (bool(customers) and self.customers.issuperset(customers))

    @property
    def source(self) -> str:
        """What their batches say they came from: one of some customers has nothing in it that is another's."""
        of = f"[{','.join(sorted(self.customers))}]" if self.customers else ""
        return f"gateway:{self.name}{of}"

    def sees_batch(self, source: str) -> bool:
        """Whose rows belong to some customers alone sees the batches that they made."""
        return not self.customers or source == self.source


def new_token(random_bytes: Callable[[int], bytes]) -> str:
    drawn = _text(int.from_bytes(random_bytes(_RANDOM_BYTES)), _RANDOM)
    return f"{PREFIX}{drawn}{_check(drawn)}"


def is_token(text: str) -> bool:
    """Whether it can be one: of our form, and checked by its last letters."""
    return PATTERN.fullmatch(text) is not None and text[-_CHECK:] == _check(text[len(PREFIX) : -_CHECK])


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def parse_customers(texts: Collection[str]) -> frozenset[str]:
    """``customers/acme`` or ``acme``, each as its id."""
    return frozenset(text.removeprefix("customers/") for text in texts)


def _check(drawn: str) -> str:
    return _text(zlib.crc32(drawn.encode()), _CHECK)


def _text(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(letters)
