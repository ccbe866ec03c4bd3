"""Body of the webhook that announces an incoming call (source document: RustPBX API)."""

import msgspec

from softswitch.call.interfaces import IncomingCall
from softswitch.protocol.instants import rfc3339


class _Announcement(msgspec.Struct, frozen=True, rename="camel"):
    dialog_id: str
    created_at: str
    caller: str
    callee: str
    headers: list[str]
    offer: str
    dialog_id_twin: str = msgspec.field(name="dialog_id")
    created_at_twin: str = msgspec.field(name="created_at")
    event: str = "invite"


def render_announcement(call: IncomingCall, call_id: str, created_ms: int) -> bytes:
    """Return the body of the POST.

    Args:
        call: The incoming call.
        call_id: Id under which `/call/sip` takes the call.
        created_ms: Moment of its arrival, epoch milliseconds.
    """
    created = rfc3339(created_ms)
    return msgspec.json.encode(
        _Announcement(
            dialog_id=call_id,
            created_at=created,
            caller=call.caller,
            callee=call.callee,
            headers=[f"{name}: {value}" for name, value in call.headers.items()],
            offer=call.sdp,
            dialog_id_twin=call_id,
            created_at_twin=created,
        )
    )
