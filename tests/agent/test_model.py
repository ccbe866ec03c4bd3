import aiohttp
import pytest

from softswitch.agent.config import Model
from softswitch.agent.history import ToolCall
from softswitch.agent.model import MOST_ARGUMENTS, MOST_TEXT, ModelError, Reply, think
from tests.support.chat import Said, ScriptedModel


def chunk(text):
    return b'data: {"choices": [{"delta": {"content": "%s"}}]}' % text.encode()


def test_lines_of_a_reply_are_put_together():
    reply = Reply()
    lines = [
        b"",
        b": comment",
        b"event: x",
        chunk("Good "),
        b'data: {"choices": []}',
        chunk("day"),
        b"data: [DONE]",
    ]
    assert "".join(reply.line(line) for line in lines) == "Good day"
    assert reply.over
    assert reply.calls() == ()


def test_a_call_in_pieces_without_an_id_is_put_together():
    reply = Reply()
    for arguments in ('{\\"to\\": ', '\\"sales\\"}'):
        reply.line(
            b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"%s","arguments":"%s"}}]}}]}'
            % (b"transfer" if "to" in arguments else b"", arguments.encode())
        )
    (call,) = reply.calls()
    assert (call.id, call.name, call.arguments) == ("call_0", "transfer", '{"to": "sales"}')


@pytest.mark.parametrize(
    "line",
    [
        b"data: {",
        b"data: []",
        b'data: {"choices": 5}',
        b'data: {"error": {"message": "quota"}}',
        chunk("x" * (MOST_TEXT + 1)),
        b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"%s"}}]}}]}'
        % (b"x" * (MOST_ARGUMENTS + 1)),
    ],
)
def test_what_is_no_chat_or_too_much_is_refused(line):
    with pytest.raises(ModelError):
        Reply().line(line)


async def test_text_comes_first_and_tools_last():
    script: list[Said] = ["One ", "moment.", {"name": "transfer", "to": "sales"}]
    async with ScriptedModel(lambda _: script) as model, aiohttp.ClientSession() as session:
        config = Model(url=model.url, model="m", key="secret", extra={"temperature": 0})
        pieces = [piece async for piece in think(session, config, [], [])]
        assert model.keys == ["Bearer secret"]
        assert model.requests[0] == {"temperature": 0, "model": "m", "messages": [], "stream": True}
    assert pieces[:2] == ["One ", "moment."]
    assert isinstance(pieces[2], ToolCall)


@pytest.mark.parametrize(("status", "script"), [(500, []), (200, [0.5])])
async def test_a_model_that_refuses_or_is_silent_fails(status, script):
    async with ScriptedModel(lambda _: script, status) as model, aiohttp.ClientSession() as session:
        config = Model(url=model.url, model="m", timeout_s=0.1)
        with pytest.raises(ModelError, match=r"500|reached"):
            [piece async for piece in think(session, config, [], [])]


async def test_a_model_that_is_not_there_fails():
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ModelError, match="reached"):
            [piece async for piece in think(session, Model(url="http://127.0.0.1:1/v1", model="m"), [], [])]


def test_keys_do_not_appear_and_may_stand_in_the_environment():
    model = Model(url="http://x", model="m", key="very-secret")
    assert "very-secret" not in repr(model)
    assert Model(url="http://x", model="m", key_env="K").secret({"K": "other"}) == "other"
