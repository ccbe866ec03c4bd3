import aiohttp
import pytest
from aiohttp import web

from softswitch.agent.config import AgentConfig, Destination, Model, Tool
from softswitch.agent.history import ToolCall
from softswitch.agent.tools import MOST_RESULT, Tools, shown


@pytest.fixture
async def tools(aiohttp_server):
    seen: list[object] = []

    async def look_up(request):
        seen.append((await request.json(), request.headers.get("Authorization")))
        return web.Response(text="at nine" if request.path == "/look_up" else "x" * 3 * MOST_RESULT)

    async def search(request):
        seen.append(dict(request.query))
        raise web.HTTPFound("http://elsewhere.invalid/")

    application = web.Application()
    application.router.add_post("/{any:look_up|long}", look_up)
    application.router.add_get("/search", search)
    server = await aiohttp_server(application)
    async with aiohttp.ClientSession() as session:
        config = AgentConfig(
            prompt="p",
            model=Model(url="http://x/v1", model="m"),
            tool=(
                Tool(name="look_up", url=str(server.make_url("/look_up")), token="tool-secret"),
                Tool(name="long", url=str(server.make_url("/long"))),
                Tool(name="search", url=str(server.make_url("/search")), method="GET"),
                Tool(name="away", url="http://127.0.0.1:1/"),
            ),
        )

        async def end_call():
            return "ended"

        yield Tools(config, session, {"end_call": end_call}, {"call": "c1", "caller": "100"}), seen


async def test_a_request_tells_of_the_call(tools):
    made, seen = tools
    assert await made.run(ToolCall("1", "look_up", '{"question": "hours"}')) == "at nine"
    assert seen == [
        ({"call": "c1", "caller": "100", "arguments": {"question": "hours"}}, "Bearer tool-secret")
    ]
    assert len(await made.run(ToolCall("1", "long", ""))) == MOST_RESULT
    assert made.failures == 0


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("nothing", "{}", "no tool"),
        ("look_up", "{", "error: Expecting"),
        ("look_up", "[]", "JSON object"),
        ("look_up", "5", "JSON object"),
        ("look_up", '"x"', "JSON object"),
        ("end_call", '{"unknown": 1}', "unexpected keyword"),
        ("search", '{"q": 1}', "302"),
        ("away", "", "error"),
    ],
)
async def test_failures_are_told_to_the_model_and_counted(tools, name, arguments, told):
    made, _ = tools
    assert told in await made.run(ToolCall("1", name, arguments))
    assert made.failures == 1


def test_the_model_may_connect_with_destinations_of_the_file_alone():
    places = {"sales": Destination(callee="user:sales", about="orders")}
    config = AgentConfig(prompt="p", model=Model(url="http://x/v1", model="m"), transfer=places)
    (transfer,) = [tool["function"] for tool in shown(config) if tool["function"]["name"] == "transfer"]
    assert transfer["parameters"]["properties"]["to"]["enum"] == ["sales"]
    assert "user:sales" not in str(transfer)
