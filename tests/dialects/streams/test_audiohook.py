"""The AudioHook dialect against the protocol reference and the example of its signature."""

from typing import Any

import pytest

from softswitch.call.vocabulary.values import PlaybackStatus
from softswitch.dialects.streams.audiohook import duration, signature_headers, uuid_of
from softswitch.errors import MalformedError
from softswitch.legs.stream import dialect as d
from softswitch.settings import Stream
from tests.dialects.streams.sessions import ATTEMPT, NOW, objects, open_session, read

SESSION = "30b0e395-84d3-4570-ac13-9a62d8f514c0"
MEDIUM = {"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 8000}


class Server:
    """The side of the service: numbers its messages."""

    def __init__(self, session: d.StreamSession) -> None:
        [message] = objects(session.opened(NOW))
        self.session, self.id, self._sequence = session, message["id"], 0

    def says(self, kind: str, now_ms: int = NOW, **parameters: object) -> list[d.StreamValue]:
        self._sequence += 1
        message = {
            "version": "2",
            "id": self.id,
            "type": kind,
            "seq": self._sequence,
            "clientseq": 1,
            "parameters": parameters,
        }
        return read(self.session, message, now_ms)


def opened(**fields: Any) -> Server:
    server = Server(open_session("audiohook", **fields))
    assert server.says("opened", media=[MEDIUM], startPaused=False) == [d.Ready()]
    return server


def test_open_offers_one_medium_and_names_the_participant():
    one = open_session("audiohook", rows=(Stream(protocol="audiohook", key="organization"),))
    [message] = objects(one.opened(NOW))
    assert message == {
        "version": "2",
        "id": uuid_of("stream"),
        "type": "open",
        "seq": 1,
        "serverseq": 0,
        "position": "PT0S",
        "parameters": {
            "organizationId": "organization",
            "conversationId": uuid_of("call"),
            "participant": {
                "id": uuid_of("call/inbound"),
                "ani": "+1555",
                "aniName": "+1555",
                "dnis": "+1777",
            },
            "media": [MEDIUM],
            "inputVariables": {"plan": "gold"},
        },
    }


def test_l16_is_offered_where_it_is_requested():
    one = open_session("audiohook", encoding="pcm16")
    [message] = objects(one.opened(NOW))
    assert message["parameters"]["media"][0]["format"] == "L16"


def test_service_that_accepts_no_medium_is_left():
    server = Server(open_session("audiohook"))
    [close] = server.says("opened", media=[])
    assert isinstance(close, d.Close)


def test_session_may_start_paused_and_resumes_with_what_was_discarded():
    server = Server(open_session("audiohook"))
    ready, pause, paused = server.says("opened", media=[MEDIUM], startPaused=True)
    assert (ready, pause) == (d.Ready(), d.Pause())
    assert isinstance(paused, d.Reply)
    assert objects([paused.message])[0]["type"] == "paused"
    resumed, ready = server.says("resume", NOW + 1500)
    assert ready == d.Ready()
    assert isinstance(resumed, d.Reply)
    [message] = objects([resumed.message])
    assert message["parameters"] == {"start": "PT0S", "discarded": "PT1.5S"}
    assert (message["seq"], message["serverseq"]) == (3, 2)


def test_position_counts_audio_from_the_first_frame_with_pauses():
    server = opened()
    one = server.session
    assert one.media("inbound", 50, b"\xff", NOW) == b"\xff"
    assert objects(one.dtmf("5", NOW))[0]["position"] == "PT0.02S"
    one.media("inbound", 149, b"\xff", NOW)
    [dtmf] = objects(one.dtmf("5", NOW))
    assert (dtmf["position"], dtmf["parameters"]) == ("PT2S", {"digit": "5"})


def test_ping_has_the_last_round_trip_time():
    server = opened()
    one = server.session
    assert objects(one.keepalive(NOW))[0]["parameters"] == {}
    assert server.says("pong", NOW + 45) == []
    [ping] = objects(one.keepalive(NOW + 5000))
    assert (ping["type"], ping["parameters"]) == ("ping", {"rtt": "PT0.045S"})


def test_nothing_is_sent_in_a_session_that_is_not_open():
    one = open_session("audiohook")
    one.opened(NOW)
    assert one.keepalive(NOW) == ()
    assert one.dtmf("1", NOW) == ()


PLAYBACKS: tuple[tuple[PlaybackStatus, int | None], ...] = (
    ("started", None), ("cleared", 40), ("drained", None), ("started", None)
)  # fmt: skip


def test_playback_is_reported_once_and_a_cleared_one_is_completed():
    one = opened().session
    kinds = [
        [message["type"] for message in objects(one.playback(status, played, NOW))]
        for status, played in PLAYBACKS
    ]
    assert kinds == [["playback_started"], ["playback_completed"], [], ["playback_started"]]


def test_barge_in_clears():
    server = opened()
    assert server.says("event", entities=[{"type": "barge_in", "data": {}}]) == [d.Clear()]
    assert server.says("event", entities=[{"type": "transcript", "data": {}}]) == []


def test_stop_closes_once_and_the_service_answers():
    server = opened()
    [close] = objects(server.session.stop(NOW))
    assert (close["type"], close["parameters"]) == ("close", {"reason": "end"})
    assert server.session.stop(NOW) == ()
    assert isinstance(server.says("closed")[0], d.Close)


def test_disconnect_is_answered_with_close():
    pause, close = opened().says("disconnect", reason="completed")
    assert pause == d.Pause()
    assert isinstance(close, d.Reply)
    assert objects([close.message])[0]["parameters"] == {"reason": "disconnect"}


def test_order_version_and_id_are_checked():
    server = opened()
    base = {"version": "2", "id": server.id, "type": "pong", "seq": 2, "parameters": {}}
    changes: tuple[dict[str, Any], ...] = (
        {"version": "1"}, {"seq": 1}, {"seq": True}, {"type": "sing"}, {"parameters": []}
    )  # fmt: skip
    for wrong in changes:
        with pytest.raises(MalformedError):
            read(server.session, base | wrong)
    assert read(server.session, base | {"id": "other"}) == [d.Misdirected()]
    [error] = objects(server.session.unreadable("why", NOW))
    assert (error["type"], error["parameters"]) == ("error", {"code": 400, "message": "why"})


def test_signature_of_the_example_of_the_documentation():
    components = {
        "@request-target": "/api/v1/voicebiometrics/ws",
        "host": "audiohook.example.com",
        "audiohook-organization-id": "d7934305-0972-4844-938e-9060eef73d05",
        "audiohook-session-id": SESSION,
        "audiohook-correlation-id": "e160e428-53e2-487c-977d-96989bf5c99d",
        "x-api-key": "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh",
    }
    headers = signature_headers(
        components,
        "SGVsbG8sIEkgYW0gdGhlIEFQSSBrZXkh",
        "TXlTdXBlclNlY3JldEtleVRlbGxOby0xITJAMyM0JDU=",
        1641013200,
        "VGhpc0lzQVVuaXF1ZU5vbmNl",
        lifetime_s=1641013230,  # The example gives an absolute time where the code adds a lifetime.
    )
    assert headers["Signature"] == "sig1=:zupMJUMfd/kMuvKc5zhRyfJPE3jTROuz1S1hn8SCTpE=:"
    assert headers["Signature-Input"].endswith('alg="hmac-sha256";created=1641013200;expires=3282026430')


def test_handshake_signs_target_authority_and_ids():
    row = Stream(protocol="audiohook", key="o", token="k", secret="c2VjcmV0", url="wss://bot.example:443")
    url = "wss://bot.example:443/hook?x=1"
    headers = open_session("audiohook", rows=(row,), url=url).handshake(ATTEMPT).headers
    assert headers["Audiohook-Session-Id"] == uuid_of("stream")
    assert headers["X-API-KEY"] == "k"
    components = {
        "@request-target": "/hook?x=1",
        "@authority": "bot.example",
        "audiohook-organization-id": "o",
        "audiohook-session-id": uuid_of("stream"),
        "audiohook-correlation-id": uuid_of("call"),
        "x-api-key": "k",
    }
    signed = signature_headers(components, "k", "c2VjcmV0", ATTEMPT.epoch_s, ATTEMPT.nonce)
    assert headers["Signature-Input"] == signed["Signature-Input"]
    assert headers["Signature"] == signed["Signature"]


def test_ids_are_uuids():
    assert uuid_of(SESSION.upper()) == SESSION
    assert uuid_of("a") != uuid_of("b")
    assert uuid_of(uuid_of("a")) == uuid_of("a")


def test_durations():
    assert [duration(ms) for ms in (0, 20, 1500, 999_999, 3_600_020)] == [
        "PT0S", "PT0.02S", "PT1.5S", "PT999.999S", "PT3600.020S",
    ]  # fmt: skip
