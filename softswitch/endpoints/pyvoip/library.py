"""pyVoIP itself: imported when somebody asks for it, and only the release that the patches were made for."""

import importlib
import importlib.metadata
import warnings

from softswitch.endpoints.pyvoip.account import Account
from softswitch.endpoints.pyvoip.controls import Hooks, PhoneControl
from softswitch.errors import UnavailableError

VERSION = "1.6.8"
"""The release whose faults are known and mended."""
CANNOT = (
    "8-bit audio, PCMU and PCMA alone; UDP and IPv4 alone; no SRTP, no REFER, no MESSAGE, no registrar, "
    "no re-INVITE of ours, no session timers, no delayed offer; two threads a call"
)


def check_version() -> None:
    """Make sure that pyVoIP is there, in the release that is pinned.

    Raises:
        UnavailableError: it is not.
    """
    try:
        found = importlib.metadata.version("pyVoIP")
    except importlib.metadata.PackageNotFoundError:
        raise UnavailableError(
            'engine = "pyvoip" needs pyVoIP, which is not installed: pip install softswitch[pyvoip]'
        ) from None
    if found != VERSION:
        raise UnavailableError(
            f'engine = "pyvoip" was made for pyVoIP {VERSION}, and {found} is installed: '
            f"pip install pyVoIP=={VERSION}"
        )


def make_phone(account: Account, hooks: Hooks) -> PhoneControl:
    """Return a telephone; the library is imported with the first.

    Raises:
        UnavailableError: the library, or audioop, cannot be imported.
    """
    with warnings.catch_warnings():
        # audioop says that it will be gone in Python 3.13; there, audioop-lts is in its place.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = importlib.import_module("softswitch.endpoints.pyvoip.patches.phone")
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f'engine = "pyvoip": no module {error.name}: pip install softswitch[pyvoip]'
            ) from error
    phone: PhoneControl = module.Phone(account, hooks)
    return phone
