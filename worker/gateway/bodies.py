"""What a request brings: whole in memory where that is little, else in a temporary file that has no name."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO

from starlette.datastructures import Headers
from starlette.requests import Request

from worker.gateway.problems import Problem

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Spooled:
    """``digest`` is of the bytes, as of a file given to a command."""

    file: IO[bytes]
    digest: str


def media_type(headers: Headers) -> str:
    """Without its parameters. Raises ``Problem`` for what we do not read: another charset, a compressed body."""
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        words = "a compressed body is not read; send it as it is"
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", words, headers={"Accept-Encoding": "identity"}
        )
    kind, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    charset = next((one.partition("=")[2].strip('" ') for one in parameters if one.startswith("charset=")), "utf-8")
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise _not_read("the body has to be UTF-8", {})
    return kind


def unsupported(kind: str, taken: tuple[str, ...]) -> Problem:
    given = f"{kind[:80]!r} is not taken here" if kind else "no Content-Type is given"
    return _not_read(f"{given}; give one of {', '.join(taken)}", {"Accept": ", ".join(taken)})


def _not_read(words: str, headers: dict[str, str]) -> Problem:
    return Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", words, headers=headers)


async def whole(request: Request, most: int) -> bytes:
    """Raises ``Problem`` where it is longer than ``most`` bytes."""
    _refuse_announced(request, most)
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise _too_long(most)
        pieces.append(piece)
    return b"".join(pieces)


@asynccontextmanager
async def spooled(request: Request, most: int) -> AsyncIterator[Spooled]:
    """Flat in memory, however long it is. Raises ``Problem`` where it is longer than ``most`` bytes."""
    _refuse_announced(request, most)
    with tempfile.TemporaryFile(prefix="coachsync-", buffering=0) as file:  # what finds no room is known at once
        digest, size, piece = hashlib.sha256(), 0, bytearray()
        async for some in request.stream():
            size += len(some)
            if size > most:
                raise _too_long(most)
            piece += some
            if len(piece) >= MEGABYTE:
                await _write(file, piece)
                digest.update(piece)
                piece = bytearray()
        await _write(file, piece)
        digest.update(piece)
        yield Spooled(file, digest.hexdigest())


async def _write(file: IO[bytes], piece: bytearray) -> None:
    try:
        await asyncio.to_thread(_write_all, file, piece)
    except OSError as error:
        words = f"the body cannot be kept while it is read: {error.strerror}"
        raise Problem(HTTPStatus.INSUFFICIENT_STORAGE, "insufficient-storage", words) from error


def _write_all(file: IO[bytes], piece: bytearray) -> None:
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _refuse_announced(request: Request, most: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_long(most)


def _too_long(most: int) -> Problem:
    words = f"the body is longer than {most:,} bytes; split it"
    # what is left of it is not read: the connection cannot go on
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", words, headers={"Connection": "close"}, limit=most
    )
