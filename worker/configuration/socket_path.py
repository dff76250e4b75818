"""Where the embedded broker's unix socket lies. Pure: every process that knows the home finds the same socket."""

import hashlib
import os
from pathlib import Path
from urllib.parse import quote

MAX_SOCKET_PATH_BYTES = 103  # sun_path holds 104 bytes on macOS and 108 on Linux, the closing NUL among them
_SHORT_BASE = Path("/tmp")  # noqa: S108 - our own 0700 directory in it is checked before use; TMPDIR differs between processes


def socket_path(home: Path, uid: int) -> Path:
    """``HOME/valkey.sock``, or where that is too long for a socket a short path derived from it."""
    beside = home / "valkey.sock"
    if len(os.fsencode(beside)) <= MAX_SOCKET_PATH_BYTES:
        return beside
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return _SHORT_BASE / f"coachsync-{uid}-{digest}" / "valkey.sock"


def socket_url(path: Path) -> str:
    """The socket as Celery takes it."""
    return f"redis+socket://{quote(os.fsencode(path))}"
