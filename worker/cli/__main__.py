"""``python -m worker.cli`` is the ``coachsync`` command."""

from worker.cli.main import main

main()
