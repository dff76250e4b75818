"""Directories that only we may enter."""

import os
import stat
from pathlib import Path

from worker.embedded.errors import UnsafeDirectory


def make_private(directory: Path, uid: int) -> None:
    """Make it, mode 0700; where it is there already it has to be ours, no symbolic link, and closed to all others.

    In a shared directory such as /tmp anybody can have made it before us.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError as error:
        raise UnsafeDirectory(f"{directory} cannot be made ({error.strerror}); set COACHSYNC_HOME elsewhere") from error
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeDirectory(f"{directory} is no directory; remove it")
    if status.st_uid != uid:
        raise UnsafeDirectory(f"{directory} belongs to the user id {status.st_uid}, not to us ({uid}); remove it")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise UnsafeDirectory(f"{directory} is open to others; run: chmod 700 '{directory}'")


def make_home(home: Path) -> None:
    """The home may have been made by an operator, with a mode of their choice; a new one is private."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnsafeDirectory(f"{home} cannot be made ({error.strerror}); set COACHSYNC_HOME elsewhere") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise UnsafeDirectory(f"{home} is not ours to write to; set COACHSYNC_HOME elsewhere")
