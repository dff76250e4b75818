"""What may be shown of a secret: next to nothing. Pure; the settings, the log and the console share it."""

import re

MASK = "••••"
_TELLING_LENGTH = 12  # two characters of a shorter secret would give too much away
_SECRET_PARAMETER = re.compile(
    r"([?&;][^=&;\s]*(?:pass|pwd|secret|token|key|auth|sig)[^=&;\s]*=)[^&;\s]*", re.IGNORECASE
)
_USERINFO = re.compile(r"([a-z][a-z0-9+.-]*://)(.*)@", re.IGNORECASE | re.DOTALL)
_USER = re.compile(r"[\w.%~-]*")


def mask_secret(secret: str) -> str:
    """``••••``, with the last two characters where the secret is long enough to spare them."""
    return MASK + secret[-2:] if len(secret) >= _TELLING_LENGTH else MASK


def mask_url(url: str) -> str:
    """The URL without its password and without parameters that name a secret.

    Made for malformed ones too (a password with ``/`` or ``@`` in the clear): all between the scheme and the last ``@``
    goes, but a user name that certainly is one.
    """
    if "@" in url and "://" not in url:
        return f"{MASK}@{url.rsplit('@', 1)[1]}"
    return _SECRET_PARAMETER.sub(rf"\1{MASK}", _USERINFO.sub(_masked_userinfo, url, count=1))


def _masked_userinfo(match: re.Match[str]) -> str:
    """A lone user is a name for PostgreSQL; elsewhere it may be a token."""
    scheme, userinfo = match.groups()
    user, colon, _ = userinfo.partition(":")
    if not _USER.fullmatch(user) or not (colon or scheme.startswith("postgres")):
        return f"{scheme}{MASK}@"
    return f"{scheme}{user}:{MASK}@" if colon else f"{scheme}{user}@"
