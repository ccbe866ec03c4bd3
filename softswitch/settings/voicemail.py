"""Settings of voicemail: what callers of "voicemail:<user>" hear, and bounds of their messages."""

from typing import Annotated, Literal

from msgspec import Meta

from softswitch.settings.section import Positive, Section


class Voicemail(Section, frozen=True):
    """Messages that callers leave for users ("voicemail:<user>")."""

    greeting: str = "Please leave a message after the tone."
    """Text before the tone. A user's own greeting is voicemail-<user>.wav in the folder of sounds."""
    voice: str = ""
    """Voice of the text. Empty: the default."""
    max_s: Annotated[float, Meta(ge=5, le=3600)] = 180.0
    """Longest message, in seconds."""
    silence_s: Annotated[float, Meta(ge=2, le=600)] = 10.0
    """Seconds of silence that end a message."""
    most: Positive = 50
    """Most messages of one user; further callers are refused with 486."""
    url: str = ""
    """URL that gets a POST with each message. Empty: none does."""
    mail: Literal["attachment", "link"] = "attachment"
    """What users with an email get of each message, where [mail] names a server: its sound, or a link to
    page."""
    page: str = ""
    """URL of the switch's page, for links in e-mail, such as https://calls.example.com/. Empty: no links."""

    def __post_init__(self) -> None:
        """Check the URLs."""
        for name in ("url", "page"):
            if getattr(self, name) and not getattr(self, name).startswith(("http://", "https://")):
                raise ValueError(f"{name} must start with http:// or https://")
        if self.mail == "link" and not self.page:
            raise ValueError('page is needed with mail = "link"')
