"""A child's output, cut into lines. Pure."""

LONGEST_LINE = 65_536


class LineCutter:
    """Takes bytes as they come, gives text lines; one without end is cut at ``LONGEST_LINE`` bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[str]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) >= LONGEST_LINE:
            whole.append(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        return [_text(line) for line in whole]

    def end(self) -> list[str]:
        """What stood after the last line break."""
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
