"""``coachsync.toml``: where it is, what it says, and on which line."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "coachsync.toml"
_PART = re.compile(r"""[\w-]+|"[^"\\]*"|'[^']*'""")
_NAME = rf"((?:{_PART.pattern})(?:\s*\.\s*(?:{_PART.pattern}))*)"
_HEADER = re.compile(rf"\s*\[\s*{_NAME}\s*\]\s*(?:#.*)?")
_ARRAY_HEADER = re.compile(rf"\s*\[\[\s*{_NAME}\s*\]\]\s*(?:#.*)?")
_KEY = re.compile(rf"\s*{_NAME}\s*=")


@dataclass(frozen=True, slots=True)
class SettingsFile:
    path: Path
    content: Mapping[str, Any]
    lines: Mapping[str, int]

    def place(self, key: str) -> str:
        """``coachsync.toml line 12`` of a dotted key, without the line where the file leaves a doubt."""
        line = self.lines.get(key)
        return f"{self.path.name} line {line}" if line else str(self.path)

    def place_of(self, path: Sequence[str | int]) -> str:
        """The line of the value at the end of ``path``, or of the nearest one around it that has one."""
        for length in range(len(path), 0, -1):
            key = dotted(path[:length])
            found = next((name for name in (key, f"{key}[0]") if name in self.lines), None)
            inside = [name for name in self.lines if name.startswith(f"{key}.")]
            if name := found or min(inside, key=self.lines.__getitem__, default=None):
                return self.place(name)
        return str(self.path)


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


def dotted(path: Sequence[str | int]) -> str:
    """``policy.quotas[0].on``."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


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
            array = _numbered(header[1], counts, newest=False)
            counts[array] = counts.get(array, -1) + 1
        if header := header or _HEADER.fullmatch(line):
            table = name = _numbered(header[1], counts)
        elif key := _KEY.match(line):
            name = ".".join(filter(None, [table, *_parts(key[1])]))
        else:
            continue
        twice |= {name} & found.keys()
        found[name] = number
    return {name: number for name, number in found.items() if name not in twice}


def _numbered(header: str, counts: Mapping[str, int], *, newest: bool = True) -> str:
    """A table below an array of tables belongs to the array's newest one; so does the last part, if ``newest``."""
    parts, name = _parts(header), ""
    for number, part in enumerate(parts, start=1):
        name = f"{name}.{part}" if name else part
        if name in counts and (newest or number < len(parts)):
            name = f"{name}[{counts[name]}]"
    return name


def _parts(name: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(name)]
