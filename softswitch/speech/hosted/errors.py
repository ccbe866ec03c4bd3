"""What goes wrong with a vendor, in words that never have a key."""

from softswitch.errors import SoftswitchError
from softswitch.speech.hosted.access import Access
from softswitch.speech.interface import SpeechBusyError


class VendorError(SoftswitchError):
    """Say what a vendor refused, or that it is gone; its text may be told to a client."""

    def __init__(self, message: str, code: int = 502) -> None:
        super().__init__(message)
        self.code = code


class StaleError(VendorError):
    """Say that a connection broke before it gave anything."""


FATAL = frozenset({400, 401, 402, 403, 404})
"""Codes that another attempt will not change."""


def vendor_error(access: Access, code: int, text: str = "") -> SoftswitchError:
    """Return the error for a vendor's code.

    Args:
        access: the provider; its secrets are taken out of `text`.
        code: as in HTTP; 0: there was no answer.
        text: the vendor's own words.
    """
    said = f": {access.clean(text)}" if text else ""
    if code == 429:
        return SpeechBusyError(f"provider {access.name!r} is busy (429){said}")
    if code in (401, 403):
        return VendorError(f"provider {access.name!r} refused the key ({code}){said}", code)
    if code:
        return VendorError(f"provider {access.name!r} failed ({code}){said}", code)
    return VendorError(f"provider {access.name!r} cannot be reached{said}", 502)
