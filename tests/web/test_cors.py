"""Pages of other origins."""

import pytest
from pytest_aiohttp.plugin import AiohttpClient

from softswitch.metrics import Metrics
from softswitch.settings import Auth
from softswitch.web.application import make_application
from softswitch.web.auth import Authenticator

LISTED, OTHER = "https://app.example", "https://evil.example"


@pytest.mark.parametrize(("origin", "welcome"), [(LISTED, True), (OTHER, False)])
async def test_listed_page_may_read_the_files_of_the_element(
    aiohttp_client: AiohttpClient, origin: str, welcome: bool
) -> None:
    app = make_application(Authenticator(Auth(origins=(LISTED,)), Metrics("test")), max_body=1000)
    client = await aiohttp_client(app)
    answer = await client.get("/static/js/softswitch-call.js", headers={"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == (origin if welcome else None)
    assert "Origin" in answer.headers.getall("Vary")


@pytest.mark.parametrize(("origin", "status"), [(LISTED, 204), (OTHER, 405)])
async def test_preflight_is_answered_for_listed_pages_alone(
    aiohttp_client: AiohttpClient, origin: str, status: int
) -> None:
    app = make_application(Authenticator(Auth(origins=(LISTED,)), Metrics("test")), max_body=1000)
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    client = await aiohttp_client(app)
    answer = await client.options("/iceservers", headers=asked)
    assert answer.status == status
    assert ("Access-Control-Allow-Headers" in answer.headers) == (status == 204)
