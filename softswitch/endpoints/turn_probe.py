"""Try a TURN server once, for the doctor: what aioice hides while it gathers candidates is told here."""

import asyncio
import ssl

from aioice.stun import TransactionFailed, TransactionTimeout
from aioice.turn import create_turn_endpoint

from softswitch.endpoints.ice import TurnAccess


class _Given(asyncio.DatagramProtocol):
    """Know when the relay was given back."""

    def __init__(self) -> None:
        self.back = asyncio.Event()

    def connection_lost(self, error: Exception | None) -> None:
        self.back.set()


async def probe_turn(access: TurnAccess, timeout_s: float = 5.0) -> tuple[str, int]:
    """Allocate a relay on the server, give it back, and return its address.

    Args:
        access: the server and what to show it.
        timeout_s: how long to wait in all, in seconds.

    Raises:
        OSError: the server cannot be reached, does not answer or refuses; the text says which.
    """
    try:
        async with asyncio.timeout(timeout_s):
            transport, given = await create_turn_endpoint(
                _Given,
                server_addr=(access.host, access.port),
                username=access.username,
                password=access.credential,
                ssl=ssl.create_default_context() if access.tls else False,
                transport=access.transport,
            )
            host, port = transport.get_extra_info("sockname")[:2]
            transport.close()
            await given.back.wait()
    except TransactionFailed as error:
        code, reason = error.response.attributes.get("ERROR-CODE", (0, "no reason given"))
        raise OSError(f"refused: {code} {reason}") from None
    except (TimeoutError, TransactionTimeout):
        raise OSError(f"no answer within {timeout_s:g} s") from None
    return str(host), int(port)
