"""What is wrong with a command line, in one line and in the words that files and settings are told with."""

from pydantic import ValidationError
from typer.exceptions import TyperException

from worker.intake.row_errors import reason_of


def usage_words(error: TyperException) -> str:
    """Empty for a group without its command: it has printed its help, and has no message."""
    words, refusal = error.format_message(), error.__cause__
    if isinstance(refusal, ValidationError):
        words = words.replace(error.message, reason_of(refusal.errors(include_url=False)[0]))
    return " ".join(words.split())
