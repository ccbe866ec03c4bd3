"""A single test of a TURN server for `softswitch doctor`, with the errors that aioice hides."""

import asyncio
import ssl

from aioice.stun import TransactionFailed, TransactionTimeout
from aioice.turn import create_turn_endpoint

from softswitch.legs.webrtc.ice import TurnAccess


class _Relay(asyncio.DatagramProtocol):
    """Protocol that tells when the relay was released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    def connection_lost(self, error: Exception | None) -> None:
        self.released.set()


async def probe_turn(access: TurnAccess, timeout_s: float = 5.0) -> tuple[str, int]:
    """Allocate a relay on the server, release it, and return its address.

    Args:
        access: address and credentials of the server.
        timeout_s: longest wait in all, in seconds.

    Raises:
        OSError: the server cannot be reached, does not respond or refuses; the text says which.
    """
    try:
        async with asyncio.timeout(timeout_s):
            transport, relay = await create_turn_endpoint(
                _Relay,
                server_addr=(access.host, access.port),
                username=access.username,
                password=access.credential,
                ssl=ssl.create_default_context() if access.tls else False,
                transport=access.transport,
            )
            host, port = transport.get_extra_info("sockname")[:2]
            transport.close()
            await relay.released.wait()
    except TransactionFailed as error:
        code, reason = error.response.attributes.get("ERROR-CODE", (0, "no reason given"))
        raise OSError(f"refused: {code} {reason}") from None
    except (TimeoutError, TransactionTimeout):
        raise OSError(f"no answer within {timeout_s:g} s") from None
    return str(host), int(port)
