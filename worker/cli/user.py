"""Who types: the user of this shell."""

import getpass


def user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have a number and no name
        return "nobody by name"
