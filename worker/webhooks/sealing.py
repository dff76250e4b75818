"""Secrets are kept encrypted. The first key seals; all keys open, so that a key can be replaced.

CannotUnseal   no key at hand opens it.
"""

import base64
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from worker.configuration.credentials import read_secret_file
from worker.configuration.problems import SettingsError
from worker.configuration.remote_settings import SHORTEST_WEBHOOK_KEY

KEY_FILE = "webhook.key"
KEY_BYTES = 32


class CannotUnseal(Exception):  # noqa: N818 - the house names what happened
    """Its line says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "a webhook secret cannot be decrypted with the keys at hand: give the key it was sealed with, "
            f"after the new one, in COACHSYNC_WEBHOOK_KEY (where none was given, it is {KEY_FILE} in the home of "
            "the machine that made the endpoint)"
        )


class Sealer:
    """``keys`` as the setting has them, the newest first."""

    def __init__(self, keys: SecretStr) -> None:
        texts = keys.get_secret_value().split(",")
        self._fernet = MultiFernet([Fernet(_derived(text)) for text in texts])

    def seal(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """Raises ``CannotUnseal``."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise CannotUnseal from None

    def reseal(self, sealed: str) -> str:
        """The same under the first key. Raises ``CannotUnseal``."""
        return self.seal(self.unseal(sealed))


def key_of_home(home: Path) -> SecretStr:
    """The key of an installation that was given none: made in its home at the first need, for its owner alone.

    Raises ``SettingsError``.
    """
    path = home / KEY_FILE
    try:
        if not path.exists():
            _make_key(path)
        return _checked(read_secret_file(path), path)
    except OSError as error:
        reason = f"{path} cannot be made ({error.strerror}); give a key by COACHSYNC_WEBHOOK_KEY"
        raise SettingsError((reason,)) from None
    except ValueError as error:
        raise SettingsError((str(error),)) from None


def _checked(key: SecretStr, path: Path) -> SecretStr:
    size = len(key.get_secret_value())
    if size < SHORTEST_WEBHOOK_KEY:
        raise ValueError(
            f"{path} has {size} characters, and a key {SHORTEST_WEBHOOK_KEY} or more; put back what it had"
        )
    return key


def _make_key(path: Path) -> None:
    """Whole from the moment it is there, whoever else makes one: the first one counts."""
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)).decode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def _derived(text: str) -> bytes:
    hkdf = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=b"coachsync webhook secrets")
    return base64.urlsafe_b64encode(hkdf.derive(text.encode()))
