"""What the query of a call's URL asks for."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from softswitch.settings import Limits
from softswitch.web.call.client_session import CallQuery
from softswitch.web.call.handlers import read_query


def wish(query: str) -> CallQuery:
    return read_query(make_mocked_request("GET", f"/call{query}"), "websocket", Limits())


def test_defaults() -> None:
    assert wish("") == CallQuery("websocket", None, dump=True, heartbeat_s=20.0)


@pytest.mark.parametrize(
    ("text", "dump"), [("true", True), ("1", True), ("false", False), ("0", False), ("FALSE", False)]
)
def test_dump_is_read(text: str, dump: bool) -> None:
    assert wish(f"?dump={text}").dump is dump


def test_resume_is_a_window_or_a_token() -> None:
    assert wish("?resume=30").resume_s == 30
    assert wish("?resume=9999").resume_s == 600
    assert (wish("?id=a&resume=tok&seq=7").token, wish("?id=a&resume=tok&seq=7").since) == ("tok", 7)


def test_spellings_of_clients_in_the_field_are_read() -> None:
    query = wish("?dump_events=false&ping_interval=7")
    assert (query.dump, query.heartbeat_s) == (False, 7.0)
    assert wish("?dump=true&dump_events=false").dump


@pytest.mark.parametrize(
    "query", ["?id=a/b", "?id=..", "?dump=maybe", "?ping=soon", "?seq=x", "?id=%00", f"?id={'a' * 129}"]
)
def test_nonsense_is_refused(query: str) -> None:
    with pytest.raises(web.HTTPBadRequest):
        wish(query)


def test_ping_is_bounded() -> None:
    assert (wish("?ping=0.01").heartbeat_s, wish("?ping=1e9").heartbeat_s) == (1.0, 300.0)
