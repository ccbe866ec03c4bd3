"""Import of pyVoIP on demand, in the one release that the patches were made for."""

import importlib
import importlib.metadata
import warnings

from softswitch.errors import UnavailableError
from softswitch.legs.pyvoip.account import Account
from softswitch.legs.pyvoip.controls import Hooks, PhoneControl

VERSION = "1.6.8"
"""The release that the patches were made for."""
CANNOT = (
    "8-bit audio, PCMU and PCMA only; UDP and IPv4 only; no SRTP, no REFER, no MESSAGE, no registrar, "
    "no outgoing re-INVITE, no session timers, no delayed offer; two threads a call"
)


def check_version() -> None:
    """Check that pyVoIP is installed in the pinned release.

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
            f'engine = "pyvoip" needs pyVoIP {VERSION}, but {found} is installed: '
            f"pip install pyVoIP=={VERSION}"
        )


def make_phone(account: Account, hooks: Hooks) -> PhoneControl:
    """Return a telephone; imports the library.

    Raises:
        UnavailableError: the library or audioop cannot be imported.
    """
    with warnings.catch_warnings():
        # audioop warns that Python 3.13 removes it; audioop-lts replaces it there.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = importlib.import_module("softswitch.legs.pyvoip.patches.phone")
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f'engine = "pyvoip" needs the module {error.name}: pip install softswitch[pyvoip]'
            ) from error
    phone: PhoneControl = module.Phone(account, hooks)
    return phone
