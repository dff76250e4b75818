"""Text from a file, made fit to show."""


def printable(text: str, most: int) -> str:
    """One line that a terminal, a log and UTF-8 can take: what is not printable is escaped, what is too long is cut."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    if cut.isprintable():
        return cut
    return "".join(mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in cut)
