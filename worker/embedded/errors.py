"""Why the embedded parts cannot start.

EmbeddedError
├── HomeInUse        another ``coachsync up`` holds the home
├── UnsafeDirectory  a directory we need is not ours alone
├── NoBinary         there is no valkey-server for this platform
└── NotReady         the server does not answer in time
"""


class EmbeddedError(Exception):
    """The message is for the operator and names the remedy."""


class HomeInUse(EmbeddedError):  # noqa: N818 - the words of the state, as they are read
    pass


class UnsafeDirectory(EmbeddedError):  # noqa: N818 - as above
    pass


class NoBinary(EmbeddedError):  # noqa: N818 - as above
    pass


class NotReady(EmbeddedError):  # noqa: N818 - as above
    pass
