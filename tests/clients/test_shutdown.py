"""What a provider sees when the switch goes down."""

import asyncio
from pathlib import Path

import pytest

from tests.clients.telephony import Telephony, Webhook, voice
from tests.clients.test_telephones import account, trunk
from tests.support.baresip import RATES, Baresip
from tests.support.kamailio import Kamailio

pytestmark = pytest.mark.client


async def test_sigterm_signs_off_at_the_trunk_and_lets_a_call_finish(tmp_path: Path) -> None:
    with Kamailio(tmp_path / "kamailio") as provider:
        async with Webhook() as webhook:
            with Telephony(tmp_path / "data", trunk(provider, webhook)) as switch:
                await switch.until("/admin/trunks", lambda shown: shown["trunks"][0]["state"] == "registered")
                phone = Baresip(tmp_path / "alice", account(provider, "alice"), voice(440, RATES["g711"]))
                async with phone:
                    await phone.registered()
                    phone.command("dial", f"sip:switch@{provider.domain}")
                    announced = await webhook.next()
                    async with switch.client("/call/sip", id=announced["dialogId"]) as application:
                        await application.send("accept", option={})
                        await application.wait("answer")
                        switch.terminate()
                        # The call goes on; no other call gets through any more.
                        await asyncio.sleep(1)
                        before = len(phone.events)
                        phone.command("dial", f"sip:switch@{provider.domain}")
                        refused = await phone.until("CALL_CLOSED", after=before)
                        assert "404" in str(refused["param"])
                        await application.send("tts", text="Still here.", playId="still", endOfStream=True)
                        await application.wait("trackEnd", lambda event: event.get("playId") == "still")
                        await application.hang_up()
                assert await asyncio.to_thread(switch.process.wait, 15) == 0
                assert switch.tracebacks() == []
