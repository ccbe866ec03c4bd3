"""pyVoIP as an engine of a trunk, or of the local phone: an extra of its own, and 30 calls at most.

The library does SIP and RTP in threads; what stops it with ordinary peers is mended in `patches`. Its 8-bit
audio feeds the same media engine as everybody else's. Nothing of it is imported before it is asked for.
"""

from softswitch.endpoints.pyvoip.account import MAX_CALLS
from softswitch.endpoints.pyvoip.endpoints import PyvoipEndpoints

__all__ = ["MAX_CALLS", "PyvoipEndpoints"]
