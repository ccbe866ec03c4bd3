"""All routes, each with the scope it asks for."""

from aiohttp import web

from softswitch.settings import static_root
from softswitch.web import (
    admin,
    rooms,
    rooms_socket,
    rustpbx,
    static,
    telephones,
    wavix_routes,
    wavix_webhooks,
)
from softswitch.web.auth import Gate, allow
from softswitch.web.cors import preflight, welcome
from softswitch.web.docs import pages
from softswitch.web.errors import add_headers, answer_errors
from softswitch.web.keys import FEED, GATE
from softswitch.web.route import Route
from softswitch.web.wavix_errors import answer_wavix_errors

ROUTES = (
    Route("GET", "/", static.index, ""),
    Route("GET", "/healthz", admin.alive, ""),
    Route("GET", "/readyz", admin.ready, ""),
    Route("GET", "/metrics", admin.metrics, "admin"),
    Route("POST", "/admin/drain", admin.drain, "admin"),
    Route("GET", "/admin/trunks", telephones.list_trunks, "admin"),
    Route("GET", "/admin/users", telephones.list_users, "admin"),
    Route("GET", "/call", rustpbx.websocket_call, "call"),
    Route("GET", "/call/", rustpbx.websocket_call, "call"),
    Route("GET", "/call/websocket", rustpbx.websocket_call, "call"),
    Route("GET", "/call/webrtc", rustpbx.webrtc_call, "call"),
    Route("GET", "/call/webrtc/", rustpbx.webrtc_call, "call"),
    Route("GET", "/call/sip", rustpbx.sip_call, "call"),
    Route("GET", "/call/sip/", rustpbx.sip_call, "call"),
    Route("GET", "/sip", telephones.sip_websocket, ""),
    Route("GET", "/call/lists", rustpbx.list_calls, "admin"),
    Route("GET", "/list", rustpbx.list_calls, "admin"),
    Route("POST", "/call/kill/{id}", rustpbx.kill_call, "admin"),
    Route("POST", "/kill/{id}", rustpbx.kill_call, "admin"),
    Route("GET", "/call/{id}", rustpbx.get_call, "admin"),
    Route("GET", "/iceservers", rustpbx.ice_servers, "call"),
    Route("GET", "/events/{id}", rustpbx.follow_events, "admin"),
    Route("POST", "/command/{id}", rustpbx.post_command, "admin"),
    Route("GET", "/calls", admin.list_records, "admin"),
    Route("GET", "/calls/{id}", admin.get_record, "admin"),
    Route("GET", "/recordings", admin.list_recordings, "admin"),
    Route("GET", "/recordings/{name}", admin.get_recording, "admin"),
    Route("DELETE", "/recordings/{name}", admin.delete_recording, "admin"),
    Route("GET", "/dumps", admin.list_dumps, "admin"),
    Route("GET", "/dumps/{id}", admin.get_dump, "admin"),
    Route("DELETE", "/dumps/{id}", admin.delete_dump, "admin"),
    *wavix_routes.ROUTES,
    Route("GET", "/docs", pages.page, ""),
    Route("GET", "/docs/ws", pages.page, ""),
    Route("GET", "/docs/openapi.json", pages.openapi, ""),
    Route("GET", "/docs/asyncapi.json", pages.asyncapi, ""),
    Route("GET", "/ws", rooms_socket.rooms_socket, ""),
    *rooms.ROUTES,
)
"""Every route but the page's own files; a test calls each of them with every kind of credential."""


def make_application(gate: Gate, *, max_body: int) -> web.Application:
    """Return the application with all routes; the composition root fills in its keys.

    Args:
        gate: Knows who may do what.
        max_body: Bytes of the largest request body.
    """
    middlewares = [preflight(gate), answer_errors, answer_wavix_errors]
    app = web.Application(middlewares=middlewares, client_max_size=max_body)
    app.on_response_prepare.append(add_headers)
    app.on_response_prepare.append(welcome(gate))
    app.on_response_prepare.append(static.revalidate)
    for route in ROUTES:
        handler = allow(gate, route.scope, route.handler, route.refuse)
        if route.method == "GET":
            app.router.add_get(route.path, handler)
        else:
            app.router.add_route(route.method, route.path, handler)
    app[GATE] = gate
    app[FEED] = allow(gate, "call", wavix_webhooks.event_feed)
    app.router.add_static("/static/", static_root(), follow_symlinks=False)
    return app
