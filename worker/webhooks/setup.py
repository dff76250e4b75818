"""What the settings make of the webhooks: the guard of addresses, and the keys that secrets are encrypted with."""

from worker.configuration.settings import Settings
from worker.webhooks.address import AddressGuard, parse_networks
from worker.webhooks.sealing import Sealer, key_of_home


def guard_of(settings: Settings) -> AddressGuard:
    return AddressGuard(parse_networks(settings.webhooks.allow))


def sealer_of(settings: Settings) -> Sealer:
    """With the keys of ``COACHSYNC_WEBHOOK_KEY``, or the home's own where there are none."""
    return Sealer(settings.webhook_key or key_of_home(settings.home))
