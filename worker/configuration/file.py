"""``coachsync.toml``: where it is, what it says, and on which line."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "coachsync.toml"
_HEADER = re.compile(r"\s*\[\s*([\w.-]+)\s*\]\s*(?:#.*)?")
_ARRAY_HEADER = re.compile(r"\s*\[\[\s*([\w.-]+)\s*\]\]\s*(?:#.*)?")
_KEY = re.compile(r"\s*([\w-]+)\s*=")


@dataclass(frozen=True, slots=True)
class SettingsFile:
    path: Path
    content: Mapping[str, Any]
    lines: Mapping[str, int]

    def place(self, key: str) -> str:
        """``coachsync.toml line 12`` of a dotted key, without the line where the file leaves a doubt."""
        line = self.lines.get(key)
        return f"{self.path.name} line {line}" if line else str(self.path)


def find_settings_file(explicit: Path | None, candidates: tuple[Path, ...]) -> Path | None:
    """The named file, or the first candidate directory that has one. ``ValueError`` if the named one is missing."""
    if explicit is not None:
        if not explicit.is_file():
            raise ValueError(f"{str(explicit)!r} is no file; give the path of a coachsync.toml or unset it")
        return explicit
    return next((path for path in (folder / FILE_NAME for folder in candidates) if path.is_file()), None)


def read_settings_file(path: Path) -> SettingsFile:
    """``ValueError`` says why the file cannot be used; it never shows the file's text."""
    try:
        text = path.read_text("utf-8-sig")
        content = tomllib.loads(text)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is no valid TOML: {error}") from None
    return SettingsFile(path, content, find_lines(text))


def find_lines(text: str) -> dict[str, int]:
    """The line of each dotted key and of each table.

    The tables of ``[[a.b]]`` are ``a.b[0]``, ``a.b[1]`` and so on. What seems to stand twice (inside a multi-line
    string) is left out.
    """
    table = ""
    found: dict[str, int] = {}
    twice: set[str] = set()
    counts: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _ARRAY_HEADER.fullmatch(line):
            counts[header[1]] = counts.get(header[1], -1) + 1
        if header := header or _HEADER.fullmatch(line):
            table = _numbered(header[1], counts)
            name, table = table, f"{table}."
        elif key := _KEY.match(line):
            name = f"{table}{key[1]}"
        else:
            continue
        twice |= {name} & found.keys()
        found[name] = number
    return {name: number for name, number in found.items() if name not in twice}


def _numbered(header: str, counts: Mapping[str, int]) -> str:
    """A table below an array of tables belongs to the array's newest one."""
    parts = header.split(".")
    for length in range(len(parts), 0, -1):
        array = ".".join(parts[:length])
        if array in counts:
            return ".".join([f"{array}[{counts[array]}]", *parts[length:]])
    return header
