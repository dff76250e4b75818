"""Where wishes are read from: a file, or a stream such as the standard input.

FileRefused   a file cannot be read, or not written, as asked. Its one line names the file, the place and the remedy.
              Nearly always it comes before the first row; a file that breaks on the way (a gzip stream cut off, a disk
              error, a change after the first pass) raises it where it breaks.
"""

import gzip
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from worker.intake.printable import printable

_MAX_NAME = 4096
_BLOCK = 1 << 20


class FileRefused(Exception):  # noqa: N818 - the house names what happened: Refused, Throttled, FileRefused
    """Nobody's bug: the words are for the person who gave the file."""


class Readable(Protocol):
    """What a file, a pipe and a gzip stream have in common."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class FileSource:
    """``name`` is what the person wrote: it is shown, and its suffix tells format and compression."""

    path: Path
    name: str

    @property
    def rereadable(self) -> bool:
        """A pipe given by name (``<(…)``, ``/dev/stdin``) can be read once only."""
        try:
            return self.path.is_file()
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class StreamSource:
    stream: Readable
    name: str = "stdin"


Source = FileSource | StreamSource


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What changes when somebody writes to a file or puts another in its place."""

    device: int
    inode: int
    size: int
    modified_ns: int


def source_for(argument: str, stdin: Readable) -> Source:
    """The source a command line names: a path, or ``-`` for the standard input."""
    return StreamSource(stdin) if argument == "-" else FileSource(Path(argument), printable(argument, _MAX_NAME))


def fingerprint(source: FileSource) -> Fingerprint:
    with _open_file(source) as file:
        return _fingerprint_of(file)


def digest_of(source: FileSource, unchanged_since: Fingerprint | None = None) -> str:
    """SHA-256 of what the file holds; the same for a file and its compressed copy."""
    digest = hashlib.sha256()
    with opened(source, unchanged_since) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def opened(source: Source, unchanged_since: Fingerprint | None = None) -> Iterator[Readable]:
    """The source's bytes, unzipped where its name ends in ``.gz``. A stream is the caller's to close."""
    if isinstance(source, StreamSource):
        yield source.stream
        return
    with _open_file(source) as file:
        _check_unchanged(source, file, unchanged_since)
        if source.name.lower().endswith(".gz"):
            with gzip.GzipFile(fileobj=file) as unzipped:
                yield unzipped
        else:
            yield file
        _check_unchanged(source, file, unchanged_since)


@contextmanager
def spool(source: Source) -> Iterator[FileSource]:
    """A source that can be read twice: itself, or a copy in a temporary file that ends with the context."""
    if isinstance(source, FileSource) and source.rereadable:
        yield source
        return
    with _copied(source) as copy:
        yield FileSource(copy, source.name)


@contextmanager
def _copied(source: Source) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(tempfile.NamedTemporaryFile(prefix="coachsync-"))
            origin = source.stream if isinstance(source, StreamSource) else stack.enter_context(_open_file(source))
            shutil.copyfileobj(origin, copy)
            copy.flush()
        except (OSError, ValueError) as error:
            why = f"{_why(error)}; check the space there and TMPDIR"
            raise FileRefused(f"{source.name}: cannot be copied to a temporary file: {why}") from error
        yield Path(copy.name)


def _open_file(source: FileSource) -> BinaryIO:
    try:
        return source.path.open("rb")
    except FileNotFoundError as error:
        raise FileRefused(f"{source.name}: not found; check the path") from error
    except IsADirectoryError as error:
        raise FileRefused(f"{source.name}: is a directory; name a file in it") from error
    except PermissionError as error:
        raise FileRefused(f"{source.name}: may not be read; check its permissions") from error
    except (OSError, ValueError) as error:
        raise FileRefused(f"{source.name}: cannot be opened: {_why(error)}") from error


def _fingerprint_of(file: BinaryIO) -> Fingerprint:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return Fingerprint(status.st_dev, status.st_ino, 0, 0)
    return Fingerprint(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _check_unchanged(source: FileSource, file: BinaryIO, since: Fingerprint | None) -> None:
    if since is not None and _fingerprint_of(file) != since:
        raise FileRefused(f"{source.name}: has changed since it was first read; start again when nobody writes to it")


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
