"""What goes wrong in the sandbox.

SandboxError             the sandbox cannot do what its operator asked; one line for a person
├── FaultScriptError     a script of faults that says nothing sensible: which entry, which field
├── LimitError           a rate limit that cannot be read
├── OptionsError         any other setting that cannot be read
├── SeedError            a seed or roster that cannot be read
├── NotLoopbackError     the address to bind is not this machine's own
└── CannotListenError    the address is taken, or not to be had
Refusal                  the API answers with an error: a google.rpc.Status on the wire
"""

from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus


class SandboxError(Exception):
    pass


class FaultScriptError(SandboxError):
    pass


class LimitError(SandboxError):
    pass


class OptionsError(SandboxError):
    pass


class SeedError(SandboxError):
    pass


class NotLoopbackError(SandboxError):
    pass


class CannotListenError(SandboxError):
    pass


class Code(IntEnum):
    """google.rpc.Code."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


_CODE_OF_STATUS = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.ABORTED,
    422: Code.INVALID_ARGUMENT,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}


def code_of(status: int) -> Code:
    return _CODE_OF_STATUS.get(status, Code.UNKNOWN)


def phrase_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"


@dataclass(eq=False)  # not frozen: Python writes the traceback into what is raised
class Refusal(Exception):  # noqa: N818 - it is an answer of the API, not an error of ours
    status: int
    message: str
    code: Code | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.message
