"""The administration of the switch that only pretends: entries in memory, in the forms of the real one."""

from typing import Any

from aiohttp import web

KINDS = ("users", "trunks", "queues", "routes", "providers", "webhooks", "keys")
SECRETS = {"password", "key", "secret"}
NEW_KEY = "sk-shown-once"


class FakeAdministration:
    """Entries by kind, and what was changed."""

    def __init__(self) -> None:
        self.entries: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
        self.changes: list[dict[str, Any]] = []
        self.bodies: list[tuple[str, str, dict[str, Any]]] = []
        """Method, path and body of each change."""
        self.refuse = ""
        """What the next change is refused with."""

    def routes(self) -> list[web.RouteDef]:
        made = [web.get("/admin/audit", self.audit), web.post("/admin/reload", self.reload)]
        for kind in KINDS:
            made += [
                web.get(f"/admin/{kind}", self.list),
                web.post(f"/admin/{kind}", self.create),
                web.patch(f"/admin/{kind}/{{name}}", self.change),
                web.delete(f"/admin/{kind}/{{name}}", self.delete),
            ]
        return made

    async def list(self, request: web.Request) -> web.Response:
        kind = request.path.split("/")[2]
        return web.json_response({kind: self.entries[kind]})

    async def create(self, request: web.Request) -> web.Response:
        kind, body = await self._told(request)
        if self.refuse:
            message, self.refuse = self.refuse, ""
            return web.json_response({"error": {"code": 400, "message": message}}, status=400)
        entry = self._shown(body)
        self.entries[kind].append(entry)
        self._log("create", kind, body["name"])
        extra = {"key": NEW_KEY} if kind == "keys" else {}
        return web.json_response({**entry, **extra}, status=201)

    async def change(self, request: web.Request) -> web.Response:
        kind, body = await self._told(request)
        entry = next(one for one in self.entries[kind] if one["name"] == request.match_info["name"])
        entry.update(self._shown({**entry, **body}))
        self._log("change", kind, entry["name"])
        return web.json_response(entry)

    async def delete(self, request: web.Request) -> web.Response:
        kind, name = request.path.split("/")[2], request.match_info["name"]
        self.entries[kind][:] = [one for one in self.entries[kind] if one["name"] != name]
        self._log("delete", kind, name)
        return web.json_response({"deleted": True})

    async def audit(self, _request: web.Request) -> web.Response:
        return web.json_response({"changes": self.changes[::-1]})

    async def reload(self, _request: web.Request) -> web.Response:
        return web.json_response({"restart": ["[http] port"]})

    async def _told(self, request: web.Request) -> tuple[str, dict[str, Any]]:
        body = await request.json()
        self.bodies.append((request.method, request.path, body))
        return request.path.split("/")[2], body

    def _shown(self, body: dict[str, Any]) -> dict[str, Any]:
        secrets = sorted({*SECRETS & body.keys(), *body.get("secrets", ())})
        fields = {name: value for name, value in body.items() if name not in SECRETS}
        return {**fields, "source": "database", "read_only": False, "secrets": secrets}

    def _log(self, action: str, kind: str, name: str) -> None:
        self.changes.append(
            {
                "at": "2030-01-02T03:04:05Z",
                "who": "root",
                "address": "192.0.2.1",
                "action": action,
                "kind": kind.removesuffix("s"),
                "name": name,
                "before": None,
                "after": None,
            }
        )
