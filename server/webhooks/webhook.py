"""One webhook: where its messages go, what they may tell, and their signature."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shotdap.catalog import Visibility
from shotdap.config import BadSettings, Settings
from shotdap.config.secret_file import read_secret
from shotdap.config.settings import WebhookTarget
from shotdap.server.access.policy import Policy
from shotdap.server.access.token_store import TokenRestriction
from shotdap.server.http.outgoing import is_safe_url


@dataclass(frozen=True)
class Webhook:
    """A receiver of messages, with the images that it may be told of."""

    name: str
    url: str
    secret: str = field(repr=False)
    visibility: Visibility = field(repr=False)

    def sign(self, event_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        """Return the headers of a message: its id, the time of the attempt, and the signature over time and body."""
        digest = hmac.new(self.secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "Shotdap-Event-Id": event_id,
            "Shotdap-Timestamp": str(timestamp),
            "Shotdap-Signature": f"v1={digest}",
        }


def load_webhooks(settings: Settings) -> Sequence[Webhook]:
    """Load the webhooks of the settings, with their secrets.

    Raises:
        BadSettings: a URL is neither https nor on this machine, a secret cannot be read, or two have the same name.
    """
    policy, targets = Policy(settings.access), settings.webhooks.targets
    doubled = [name for name, count in Counter(each.name for each in targets).items() if count > 1]
    if doubled:
        raise BadSettings(f"webhooks.targets: two have the name {doubled[0]!r}.")
    return tuple(_load_webhook(policy, each) for each in targets)


def _load_webhook(policy: Policy, target: WebhookTarget) -> Webhook:
    setting = f"webhooks.targets, {target.name}"
    if not is_safe_url(target.url):
        raise BadSettings(f"{setting}: url must be https, except on this machine.")
    secret = read_secret(f"{setting}, secret_file", target.secret_file)
    if not secret:
        raise BadSettings(f"{setting}: secret_file is empty; the receiver could not check who sends.")
    visibility = policy.find_visibility(target.user, frozenset(target.groups))
    facts = {name: (value,) if isinstance(value, str) else value for name, value in target.facts.items()}
    grants = TokenRestriction(facts, tuple(path.strip("/") for path in target.paths)).grants
    return Webhook(target.name, target.url, secret, visibility.restrict(grants) if grants else visibility)
