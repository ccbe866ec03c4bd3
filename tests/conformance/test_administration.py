"""Users, trunks, routes, providers, webhooks and keys over REST, with two accounts and keys on."""

import asyncio
import json
import stat
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from softswitch.legs.telephones import Telephones
from softswitch.web.keys import SIP
from tests.conformance.conftest import StartSwitch, Switch

ADMIN, ONE, TWO = "key-of-an-administrator", "key-of-account-one", "key-of-account-two"
KEYS = [f"root:{ADMIN}:admin+call", f"one:{ONE}:call", f"two:{TWO}:call+rooms"]


class Console:
    """REST of a switch, as a holder of a key uses it."""

    def __init__(self, switch: Switch, http: aiohttp.ClientSession, key: str = ADMIN) -> None:
        self.switch, self.http, self.key = switch, http, key

    def by(self, key: str) -> "Console":
        """Return the same for another key."""
        return Console(self.switch, self.http, key)

    async def ask(self, method: str, path: str, body: object = None, **query: str) -> tuple[int, Any]:
        """Send a request; return status and body."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        data = body if isinstance(body, str) or body is None else json.dumps(body)
        url = self.switch.url(f"/admin/{path}", **query)
        async with self.http.request(method, url, data=data, headers=headers) as response:
            text = await response.text()
            return response.status, json.loads(text) if "json" in response.content_type else text

    async def done(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Send a request that must be carried out; return the body."""
        status, answer = await self.ask(method, path, body, **query)
        assert status in (200, 201), answer
        return answer

    async def until(self, path: str, fits: Callable[[Any], bool], seconds: float = 10.0) -> Any:
        """Return the answer to a GET once it fits."""
        answer = None
        try:
            async with asyncio.timeout(seconds):
                while not fits(answer := await self.done("GET", path)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"{path} stays {answer}") from None
        return answer


@pytest.fixture
async def console(start_switch: StartSwitch, http: aiohttp.ClientSession) -> Console:
    """Give the REST of a switch with a user, a trunk and a route in its file."""
    sections = {
        "auth": {"api_keys": KEYS},
        "user": [{"name": "filed", "password": "secret of the file"}],
        "trunk": [{"name": "old", "servers": ["192.0.2.1"], "password": "pw of the file", "username": "x"}],
        "route": [{"match": "9", "to": "echo", "name": "nine"}],
    }
    return Console(start_switch(sections), http)


def sip_port(switch: Switch) -> int:
    """Return the SIP port of a switch."""
    assert switch.app is not None
    telephones = switch.app[SIP]
    assert isinstance(telephones, Telephones)
    return telephones.sip.port


BODIES: dict[str, dict[str, Any]] = {
    "users": {"name": "anna", "password": "a secret of anna"},
    "trunks": {"name": "carrier", "servers": ["127.0.0.1:9"], "username": "u", "password": "a secret of u"},
    "routes": {"name": "lobby", "match": "100", "to": "echo"},
    "providers": {"name": "ears", "kind": "deepgram", "key": "a secret of ears"},
    "webhooks": {"name": "one", "secret": "a secret of one", "url": "http://127.0.0.1:9/"},
    "keys": {"name": "app", "scopes": ["call"], "account": "one"},
}
CHANGES: dict[str, dict[str, Any]] = {
    "users": {"caller_id": "+4930"},
    "trunks": {"max_calls": 7},
    "routes": {"to": "tone"},
    "providers": {"language": "de"},
    "webhooks": {"url": "http://127.0.0.1:10/"},
    "keys": {"calls": 3},
}


@pytest.mark.parametrize("kind", BODIES)
async def test_entry_is_made_listed_changed_and_deleted_by_its_name(console: Console, kind: str) -> None:
    name = BODIES[kind]["name"]
    status, made = await console.ask("POST", kind, BODIES[kind])
    assert status == 201, made
    assert (await console.ask("POST", kind, BODIES[kind]))[0] == 409
    listed = (await console.done("GET", kind))[kind]
    assert [one["source"] for one in listed if one["name"] == name] == ["database"]
    changed = await console.done("PATCH", f"{kind}/{name}", CHANGES[kind])
    shown = await console.done("GET", f"{kind}/{name}")
    for answer in (changed, shown):
        assert answer.items() >= CHANGES[kind].items()
        assert answer["read_only"] is False
    told = json.dumps([listed, changed, shown, {**made, "key": ""}])
    assert "a secret" not in told
    assert await console.done("DELETE", f"{kind}/{name}") == {"deleted": True}
    assert (await console.ask("GET", f"{kind}/{name}"))[0] == 404
    assert (await console.ask("DELETE", f"{kind}/{name}"))[0] == 404
    log = (await console.done("GET", "audit"))["changes"]
    assert [(one["action"], one["who"]) for one in log] == [
        ("delete", "root"),
        ("change", "root"),
        ("create", "root"),
    ]
    assert log[1]["after"].items() >= CHANGES[kind].items()
    assert log[2]["before"] is None
    assert log[0]["after"] is None
    assert "a secret" not in json.dumps(log)


@pytest.mark.parametrize(
    ("kind", "name"), [("users", "filed"), ("trunks", "old"), ("routes", "nine"), ("keys", "root")]
)
async def test_row_of_the_file_is_shown_and_cannot_be_changed(console: Console, kind: str, name: str) -> None:
    shown = await console.done("GET", f"{kind}/{name}")
    assert shown["read_only"] is True
    assert shown["source"] == "file"
    assert "of the file" not in json.dumps(shown)
    assert ADMIN not in json.dumps(shown)
    assert (await console.ask("PATCH", f"{kind}/{name}", CHANGES[kind]))[0] == 409
    assert (await console.ask("DELETE", f"{kind}/{name}"))[0] == 409
    assert (await console.ask("POST", kind, {**BODIES[kind], "name": name}))[0] == 409


@pytest.mark.parametrize(
    ("kind", "body", "word"),
    [
        ("users", {"name": "anna"}, "password"),
        ("users", {"name": "an na", "password": "x"}, "name"),
        ("users", {"name": "anna", "password": "x", "colour": 1}, "colour"),
        ("users", {"password": "x"}, "name"),
        ("trunks", {"name": "t", "servers": []}, "servers"),
        ("trunks", {"name": "t", "servers": ["a"], "expires": 1}, "expires"),
        ("trunks", {"name": "t", "servers": ["a"], "engine": "pyvoip"}, "engine"),
        ("routes", {"name": "r", "match": "(", "to": "echo"}, "match"),
        ("routes", {"name": "r", "match": "1", "to": "user:missing"}, "missing"),
        ("routes", {"name": "r", "match": "1", "to": "stream:wss://a/", "protocol": "smoke"}, "protocol"),
        ("providers", {"name": "builtin", "kind": "openai"}, "name"),
        ("webhooks", {"name": "w", "secret": "s", "url": "ftp://a"}, "url"),
        ("keys", {"name": "k", "scopes": ["root"]}, "scopes"),
        ("keys", {"name": "k", "expires": "tomorrow"}, "expires"),
        ("keys", {"name": "k", "expires": "2027-01-31T12:00:00"}, "expires"),
    ],
)
async def test_wrong_field_is_named_and_nothing_is_kept(
    console: Console, kind: str, body: dict[str, Any], word: str
) -> None:
    before = await console.done("GET", kind)
    status, answer = await console.ask("POST", kind, body)
    assert status in (400, 409), answer
    assert word in answer["error"]["message"]
    assert await console.done("GET", kind) == before
    assert (await console.done("GET", "audit"))["changes"] == []


@pytest.mark.parametrize("key", ["", ONE, TWO, "ssk_wrong"])
async def test_only_the_scope_admin_reads_or_changes_anything(console: Console, key: str) -> None:
    wanted = 403 if key in (ONE, TWO) else 401
    other = console.by(key)
    for kind, body in BODIES.items():
        for method, path in (("GET", kind), ("POST", kind), ("GET", f"{kind}/x"), ("PATCH", f"{kind}/x")):
            assert (await other.ask(method, path, body))[0] == wanted
        assert (await other.ask("DELETE", f"{kind}/{body['name']}"))[0] == wanted
    for method, path in (("GET", "audit"), ("GET", "export"), ("POST", "import"), ("POST", "reload")):
        assert (await other.ask(method, path))[0] == wanted
    for kind in ("providers", "webhooks"):
        assert (await console.done("GET", kind))[kind] == []


async def test_user_and_trunk_work_at_once_and_calls_go_on_when_they_change(
    console: Console, start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    carrier = Console(start_switch({"auth": {"api_keys": KEYS}}), http)
    place = f"127.0.0.1:{sip_port(carrier.switch)}"
    await carrier.done("POST", "users", {"name": "desk", "password": "one"})
    await carrier.done("POST", "routes", {"name": "all", "match": "5.*", "to": "echo"})
    trunk = {"name": "up", "servers": [place], "username": "desk", "password": "one", "register": True}
    await console.done("POST", "trunks", {**trunk, "default": True})
    # "Within a second" is measured by an idle machine; this bound allows for a loaded one.
    await console.until("trunks/up", lambda one: one["state"] == "registered")
    await carrier.until("users/desk", lambda one: one["registered"])
    async with console.switch.client("/call/sip", token=ADMIN) as client:
        await client.send("invite", option={"callee": "555", "caller": "1"})
        await client.wait("answer")
        assert (await console.done("GET", "trunks/up"))["calls"] == 1
        await carrier.done("PATCH", "users/desk", {"password": "two"})
        await console.done("PATCH", "trunks/up", {"password": "two", "max_calls": 1, "expires": 900})
        await console.until("trunks/up", lambda one: one["state"] == "registered")
        # The call counts on, by the limit that came while it ran.
        assert (await console.done("GET", "trunks/up"))["calls"] == 1
        async with console.switch.client("/call/sip", token=ADMIN) as second:
            await second.send("invite", option={"callee": "556", "caller": "1"})
            await second.wait("reject")
        await carrier.done("DELETE", "routes/all")
        await console.done("DELETE", "trunks/up")
        await client.send("mark", name="still here")
        await client.wait("mark")
        await carrier.until("users/desk", lambda one: not one["registered"])
        await client.hang_up()
    status, answer = await console.ask("GET", "trunks/up")
    assert status == 404, answer


async def test_wrong_password_fails_and_the_right_one_registers(
    console: Console, start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    carrier = Console(start_switch({"auth": {"api_keys": KEYS}}), http)
    place = f"127.0.0.1:{sip_port(carrier.switch)}"
    await carrier.done("POST", "users", {"name": "desk", "password": "right"})
    trunk = {"name": "up", "servers": [place], "username": "desk", "password": "wrong", "register": True}
    await console.done("POST", "trunks", trunk)
    failed = await console.until("trunks/up", lambda one: one["state"] == "failed")
    assert failed["code"] in (401, 403)
    await console.done("PATCH", "trunks/up", {"password": "right"})
    await console.until("trunks/up", lambda one: one["state"] == "registered")


async def test_route_counts_for_the_next_call(
    console: Console, start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    caller = Console(start_switch({"auth": {"api_keys": KEYS}}), http)
    place = f"127.0.0.1:{sip_port(console.switch)}"
    # Calls of this switch come in by an address that a trunk of the other one has.
    await console.done("POST", "trunks", {"name": "in", "servers": ["127.0.0.1:9"]})
    await caller.done("POST", "trunks", {"name": "out", "servers": [place]})
    for to, event in (("reject:486", "reject"), ("echo", "answer"), ("reject:404", "reject")):
        body = {"name": "lobby", "match": "100", "to": to}
        if (await console.ask("PATCH", "routes/lobby", {"to": to}))[0] == 404:
            await console.done("POST", "routes", body)
        async with caller.switch.client("/call/sip", token=ADMIN) as client:
            await client.send("invite", option={"callee": "100", "caller": "1", "trunk": "out"})
            told = await client.wait(event)
            if event == "reject":
                assert told["code"] == int(to.partition(":")[2])
            else:
                await client.hang_up()
    status, answer = await console.ask("DELETE", "trunks/nothing")
    assert status == 404, answer


async def test_trunk_that_a_route_needs_cannot_be_deleted(console: Console) -> None:
    await console.done("POST", "trunks", {"name": "needed", "servers": ["127.0.0.1:9"]})
    await console.done("POST", "routes", {"name": "out", "match": "0.*", "to": "trunk:needed"})
    status, answer = await console.ask("DELETE", "trunks/needed")
    assert status == 409
    assert "needed" in answer["error"]["message"]
    await console.done("DELETE", "routes/out")
    await console.done("DELETE", "trunks/needed")


async def test_key_is_shown_once_and_works_with_its_scopes_account_and_limit(console: Console) -> None:
    made = await console.done(
        "POST", "keys", {"name": "app", "scopes": ["call"], "account": "one", "calls": 1}
    )
    key = made["key"]
    assert key.startswith("ssk_")
    assert key not in json.dumps(await console.done("GET", "keys"))
    assert (await console.by(key).ask("GET", "users"))[0] == 403
    async with console.switch.client(token=key) as client:
        await client.invite()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            # The limit is that of the account, by whichever of its keys.
            async with console.switch.client(token=ONE):
                pass
        assert caught.value.status == 503
        async with console.switch.client(token=TWO) as other:
            await other.invite()
            await other.hang_up()
        await client.hang_up()
    await console.done("PATCH", "keys/app", {"expires": "2020-01-01T00:00:00Z"})
    assert (await console.by(key).ask("GET", "users"))[0] == 401
    await console.done("PATCH", "keys/app", {"expires": None, "scopes": ["admin"]})
    assert (await console.by(key).ask("GET", "users"))[0] == 200
    await console.done("DELETE", "keys/app")
    assert (await console.by(key).ask("GET", "users"))[0] == 401


async def test_nothing_secret_lies_readable_in_the_data_folder(console: Console) -> None:
    for kind, body in BODIES.items():
        answer = await console.done("POST", kind, body)
        key = answer.get("key", "")
    data = console.switch.data
    found = b"".join(path.read_bytes() for path in data.glob("softswitch.db*"))
    assert b"anna" in found
    for secret in (b"a secret", key.encode()):
        assert secret not in found
    assert stat.S_IMODE((data / "secrets.key").stat().st_mode) == 0o600


async def test_export_can_be_imported_elsewhere_and_has_no_secrets(
    console: Console, start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    for kind, body in BODIES.items():
        await console.done("POST", kind, body)
    text = await console.done("GET", "export")
    assert "a secret" not in text
    assert "of the file" not in text
    # Here all is known: the file keeps its rows, the entries keep their secrets.
    again = await console.done("POST", "import", text)
    assert again["created"] == []
    assert sorted(again["skipped"]) == ["route/nine", "trunk/old", "user/filed"]
    assert await console.done("GET", "export") == text
    other = Console(start_switch({"auth": {"api_keys": KEYS}}), http)
    status, answer = await other.ask("POST", "import", text)
    assert status == 400
    assert "password" in answer["error"]["message"]
    assert (await other.done("GET", "trunks"))["trunks"] == []
    filled = text.replace('name = "anna"', 'name = "anna"\npassword = "p"')
    filled = filled.replace('name = "filed"', 'name = "filed"\npassword = "p"')
    filled = filled.replace('name = "one"', 'name = "one"\nsecret = "p"')
    done = await other.done("POST", "import", filled)
    assert len(done["created"]) == 8
    assert await other.done("GET", "export") == text


async def test_first_key_of_an_open_switch_closes_it_and_must_be_an_administrators(
    start_switch: StartSwitch, http: aiohttp.ClientSession
) -> None:
    console = Console(start_switch(), http, "")
    status, answer = await console.ask("POST", "keys", {"name": "app", "scopes": ["call"]})
    assert status == 409
    assert "admin" in answer["error"]["message"]
    key = (await console.done("POST", "keys", {"name": "me", "scopes": ["admin"]}))["key"]
    assert (await console.ask("GET", "users"))[0] == 401
    mine = console.by(key)
    await mine.done("POST", "keys", {"name": "app", "scopes": ["call"]})
    assert (await mine.ask("DELETE", "keys/me"))[0] == 409
    assert (await mine.ask("PATCH", "keys/me", {"scopes": ["call"]}))[0] == 409
    await mine.done("DELETE", "keys/app")
    await mine.done("DELETE", "keys/me")
    assert (await console.ask("GET", "users"))[0] == 200


async def test_audit_is_paged_by_a_cursor(console: Console) -> None:
    for number in range(5):
        await console.done("POST", "routes", {"name": f"r{number}", "match": "1", "to": "echo"})
    names: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        page = await console.done("GET", "audit", **query)
        names += [one["name"] for one in page["changes"]]
        if "cursor" not in page:
            break
        query["cursor"] = page["cursor"]
    assert names == ["r4", "r3", "r2", "r1", "r0"]
    for wrong in ({"limit": "0"}, {"limit": "x"}, {"cursor": "x"}, {"cursor": "1.'"}):
        assert (await console.ask("GET", "audit", **wrong))[0] == 400


async def test_reload_without_a_file_says_so(console: Console) -> None:
    status, answer = await console.ask("POST", "reload")
    assert status == 409
    assert "read again" in answer["error"]["message"]
