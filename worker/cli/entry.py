"""Where the ``coachsync`` command begins: a probe that is asked every few seconds does not wait for all the others."""

import gc
import sys
from importlib import import_module

import typer


def main() -> None:
    if sys.argv[1:2] == ["health"]:
        _health()
    else:
        command = import_module("worker.cli.main").main
        gc.freeze()  # what is loaded stays: not looked at again by each collection, a file is taken a sixth faster
        command()


def _health() -> None:
    """As ``worker.cli.main`` runs it, with one group registered."""
    health = import_module("worker.cli.health")
    app = typer.Typer(
        name="coachsync", pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False
    )
    app.callback()(lambda: None)
    health.register(app)
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except typer.exceptions.TyperException as error:
        words = import_module("worker.cli.usage").usage_words(error)
        _end(f"{words} (--help says more)", error.exit_code)
    except OSError as error:
        _end(f"{error.filename}: {error.strerror}; ask as the user whose processes they are", 2)
    except Exception as error:
        if type(error).__name__ != "SettingsError":  # whose module is loaded only where it was raised
            raise
        _end(str(error), 2)


def _end(message: str, code: int) -> None:
    sys.stderr.writelines(f"error: {line}\n" for line in message.splitlines())
    sys.exit(code)


if __name__ == "__main__":
    main()
