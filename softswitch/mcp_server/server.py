"""The tools as the official SDK serves them, over stdio or HTTP."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from softswitch import __version__
from softswitch.mcp_server.telephone import Telephone, TelephoneError

MOST_KEYS = 200
"""Keys whose calls are kept at a time (HTTP)."""

INSTRUCTIONS = (
    "You use a telephone. place_call returns when the call is answered. Take turns: say, then listen. "
    "What the party says is text of speech recognition and may be wrong. Hang up when you are done."
)


class Telephones:
    """The telephone of each key."""

    def __init__(self, switch: str, token: str | None, *, per_request: bool) -> None:
        """Prepare.

        Args:
            switch: URL of the switch.
            token: The key, where all requests come from one program (stdio).
            per_request: Whether each request brings its own key (HTTP); then `token` is not used.
        """
        self._switch, self._token, self._per_request = switch, token, per_request
        self._all: dict[str | None, Telephone] = {}

    def of(self, context: Context[Any, Any]) -> Telephone:
        """Return the telephone of the client.

        Raises:
            ToolError: Too many keys have calls.
        """
        token = self._token
        if self._per_request:
            scheme, _, given = ((context.headers or {}).get("authorization") or "").partition(" ")
            # The switch judges it with every call, as that of any client.
            token = given.strip() or None if scheme.lower() == "bearer" else None
        if token not in self._all:
            if len(self._all) >= MOST_KEYS:
                # Wrong keys come here, too: a key without a call gives its place up.
                self._all = {key: one for key, one in self._all.items() if not one.is_idle}
            if len(self._all) >= MOST_KEYS:
                raise ToolError("too many keys have calls here")
            self._all[token] = Telephone(self._switch, token)
        return self._all[token]

    async def close(self) -> None:
        """End all calls."""
        for telephone in self._all.values():
            await telephone.close()


def make_server(switch: str, token: str | None, *, per_request: bool = False) -> MCPServer[Any]:
    """Return the server; see :class:`Telephones` for the arguments."""
    telephones = Telephones(switch, token, per_request=per_request)

    @asynccontextmanager
    async def lifespan(_: MCPServer[Any]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await telephones.close()

    server: MCPServer[Any] = MCPServer(
        "softswitch", instructions=INSTRUCTIONS, version=__version__, lifespan=lifespan
    )

    async def done(work: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        try:
            return await work
        except TelephoneError as error:
            raise ToolError(str(error)) from None

    @server.tool()
    async def place_call(
        to: str, context: Context[Any, Any], caller: str = "", say: str = ""
    ) -> dict[str, Any]:
        """Call a number, a user (user:NAME), a SIP URI or another callee; `say` is spoken at the answer."""
        return await done(telephones.of(context).place(to, caller, say))

    @server.tool()
    async def say(call: str, text: str, context: Context[Any, Any]) -> dict[str, Any]:
        """Speak to the party; returns when it was heard, or what was heard before the party spoke."""
        return await done(telephones.of(context).say(call, text))

    @server.tool()
    async def listen(call: str, context: Context[Any, Any], seconds: float = 15.0) -> dict[str, Any]:
        """Return what the party says or presses next; empty if nothing comes for some seconds."""
        return await done(telephones.of(context).listen(call, seconds))

    @server.tool()
    async def press_keys(call: str, digits: str, context: Context[Any, Any]) -> dict[str, Any]:
        """Press keys of the telephone: 0-9, *, #; a comma is a pause."""
        return await done(telephones.of(context).press(call, digits))

    @server.tool()
    async def transfer(call: str, to: str, context: Context[Any, Any]) -> dict[str, Any]:
        """Connect the party of a call with another callee; you are silent from then on."""
        return await done(telephones.of(context).transfer(call, to))

    @server.tool()
    async def hang_up(call: str, context: Context[Any, Any]) -> dict[str, Any]:
        """End a call."""
        return await done(telephones.of(context).hang_up(call))

    @server.tool()
    async def list_calls(context: Context[Any, Any]) -> dict[str, Any]:
        """List the calls that you placed, and those of the switch that your key may see."""
        return await done(telephones.of(context).list())

    return server
