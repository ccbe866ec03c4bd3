"""Settings of the services that calls are streamed to."""

import msgspec

from softswitch.settings.section import Section


class Stream(Section, frozen=True):
    """Credentials for the streams of one protocol and one account; the first that fits a stream applies."""

    protocol: str
    """Protocol of the stream: a name of the registry, such as twilio or openai-realtime."""
    account: str = ""
    """Account whose streams have these credentials. Empty: streams of calls without an account."""
    url: str = ""
    """Only for streams to this ws or wss URL and what is below its path; required with token."""
    key: str = ""
    """Name of the account at the service, such as Twilio's AccountSid or the user of Basic authentication."""
    secret: str = ""
    """Signs the handshake and is never sent: auth token of Twilio and Plivo, client secret of AudioHook."""
    token: str = ""
    """Sent as it is: API key, password, or whole Authorization header, as the protocol has it."""
    session: dict[str, object] = msgspec.field(default_factory=dict)
    """Settings of the session, in the words of a speech-to-speech service: instructions, voice, tools."""

    def __post_init__(self) -> None:
        """Check the URL, and that a token is sent to a named URL only."""
        if self.url and not self.url.startswith(("ws://", "wss://")):
            raise ValueError("url must start with ws:// or wss://")
        if self.token and not self.url:
            raise ValueError(
                "url must be set where token is: a token is not sent to any URL that a client names"
            )
        for name in ("key", "token"):
            if not getattr(self, name).isprintable():
                raise ValueError(f"{name} must be text of one line")
