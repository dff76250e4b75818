"""``python -m worker.cli`` is the ``coachsync`` command."""

from worker.cli.entry import main

main()
