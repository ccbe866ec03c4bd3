"""Settings of webhooks: ``[webhook]`` and ``[[webhook.account]]``."""

from typing import Literal

from softswitch.settings.section import Positive, Seconds, Section


class WebhookAccount(Section, frozen=True):
    """An account whose webhooks are signed with a secret of its own."""

    name: str
    """Name of the account: of an API key, or the claim `account`, else the subject, of a token."""
    secret: str
    """Signs the messages to the webhooks and callbacks of this account."""
    url: str = ""
    """URL that gets a POST for each incoming call that no route takes, besides [webhook] url and in its
    format. It is trusted: private addresses are allowed."""

    def __post_init__(self) -> None:
        """Refuse a URL of another scheme."""
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")


class Webhook(Section, frozen=True):
    """Messages about calls that the switch posts to applications."""

    url: str = ""
    """URL that gets a POST for each incoming call. It is trusted: private addresses are allowed."""
    format: Literal["rustpbx", "wavix"] = "rustpbx"
    """What is posted there: the announcement of /call, or each step of a call as Wavix posts it."""
    secret: str = ""
    """Signs messages to url, to status_callback of rules, and to webhooks of keys with the scope admin."""
    timeout_s: Seconds = 5.0
    """Longest wait for one answer, in seconds."""
    tries: Positive = 3
    """How often one message is sent before it is given up."""
    queue: Positive = 1000
    """Messages that may wait for the webhooks of one account; further ones are dropped and counted."""
    account: tuple[WebhookAccount, ...] = ()
    """The secrets of other accounts."""

    def __post_init__(self) -> None:
        """Refuse a URL of another scheme, accounts without a secret, and an account that is named twice."""
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")
        names = [account.name for account in self.account]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"account: the name {min(twice)!r} stands twice")
        if any(not account.name or not account.secret for account in self.account):
            raise ValueError("account: name and secret must not be empty")
