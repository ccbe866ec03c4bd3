"""Which addresses may be dialled without a trunk."""

import pytest
from msgspec import structs

from softswitch.call.vocabulary.reports import LegRejected
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.routing.dial_check import DialCheck
from softswitch.settings import Egress
from tests.legs.sip.phone import HOST, phone
from tests.legs.sip.rig import rig, settings


@pytest.mark.parametrize(
    ("host", "port", "egress", "setting"),
    [
        ("127.0.0.1", 5060, (), ""), ("127.0.0.1", 5099, (), ""), ("127.0.0.1", 6379, (), "[egress] allow"),
        ("::ffff:127.0.0.1", 6379, (), "[egress] allow"), ("127.0.0.1", 6379, ("127.0.0.0/8",), ""),
        ("127.0.0.1", 25, ("127.0.0.0/8",), "not be dialled"), ("127.0.0.1", 443, (), "not be dialled"),
        ("10.1.2.3", 5060, (), ""), ("10.1.2.3", 8080, (), "[egress] allow"), ("9.9.9.9", 40000, (), ""),
        ("8.8.8.8", 5060, ("0.0.0.0/0",), "[sip] allow"), ("192.168.1.1", 5060, (), "[sip] allow"),
    ],
)  # fmt: skip
def test_address_passes_where_both_settings_let_it(host, port, egress, setting):
    check = DialCheck(("127.0.0.0/8", "10.0.0.0/8", "9.9.9.9"), egress)
    if not setting:
        check.check(host, port)
        return
    with pytest.raises(DialError) as raised:
        check.check(host, port)
    assert raised.value.code == 403
    assert setting in str(raised.value)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_by_default_no_port_of_this_machine_is_knocked_at(transport):
    chosen = structs.replace(settings(), egress=Egress())
    async with rig(chosen) as here, phone() as neighbour:
        refused = await here.dial(f"sip:x@{HOST}:{neighbour.port};transport={transport}").until(LegRejected)
        assert (refused.code, "[egress] allow" in refused.reason) == (403, True)
        assert not neighbour.happenings
        assert here.endpoints.numbers()["messages_sent"] == 0
