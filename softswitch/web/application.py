"""All routes, each with the scope it asks for."""

from aiohttp import web

from softswitch.settings import static_root
from softswitch.web import (
    admin,
    administration,
    call_parts,
    forgetting,
    overview,
    queues,
    speech,
    static,
    supervision,
    telephones,
    voicemail,
)
from softswitch.web.auth import BODY_S, Authenticator, allow
from softswitch.web.call import handlers as rustpbx
from softswitch.web.cors import preflight, welcome
from softswitch.web.docs import pages
from softswitch.web.errors import add_headers, answer_errors
from softswitch.web.forwarding import forwarding, from_nodes, send_away
from softswitch.web.gathering import gathering
from softswitch.web.hosts import Front
from softswitch.web.keys import DESCRIBED, FEED, GATE, PROXIED
from softswitch.web.malformed import refuse_versions
from softswitch.web.rooms import handlers as rooms
from softswitch.web.rooms import socket as rooms_socket
from softswitch.web.route import Route
from softswitch.web.seeking import seeking
from softswitch.web.wavix import routes as wavix_routes
from softswitch.web.wavix import webhooks as wavix_webhooks
from softswitch.web.wavix.errors import answer_wavix_errors

ROUTES = (
    Route("GET", "/", static.index, ""),
    Route("GET", "/healthz", admin.alive, ""),
    Route("GET", "/readyz", admin.ready, ""),
    Route("GET", "/metrics", admin.metrics, "admin"),
    Route("POST", "/admin/drain", admin.drain, "admin"),
    *administration.ROUTES,
    *overview.ROUTES,
    Route("POST", "/admin/restart", admin.restart, "admin"),
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
    Route("GET", "/speech", speech.list_speech, "call"),
    Route("GET", "/events/{id}", rustpbx.follow_events, "admin"),
    Route("POST", "/command/{id}", rustpbx.post_command, "admin"),
    Route("GET", "/calls", admin.list_records, "admin"),
    Route("POST", "/admin/forget", forgetting.forget, "admin"),
    Route("GET", "/calls/{id}", admin.get_record, "admin"),
    *call_parts.ROUTES,
    Route("GET", "/recordings", admin.list_recordings, "admin"),
    Route("GET", "/recordings/{name}", admin.get_recording, "admin"),
    Route("DELETE", "/recordings/{name}", admin.delete_recording, "admin"),
    Route("GET", "/dumps", admin.list_dumps, "admin"),
    Route("GET", "/dumps/{id}", admin.get_dump, "admin"),
    Route("DELETE", "/dumps/{id}", admin.delete_dump, "admin"),
    *supervision.ROUTES,
    *queues.ROUTES,
    *voicemail.ROUTES,
    *wavix_routes.ROUTES,
    Route("GET", "/docs", pages.page, ""),
    Route("GET", "/docs/ws", pages.page, ""),
    Route("GET", "/docs/openapi.json", pages.openapi, ""),
    Route("GET", "/docs/asyncapi.json", pages.asyncapi, ""),
    Route("GET", "/ws", rooms_socket.rooms_socket, ""),
    *rooms.ROUTES,
)
"""Every route but the page's own files; a test calls each of them with every kind of credential."""


def make_application(
    authenticator: Authenticator,
    *,
    max_body: int,
    front: Front | None = None,
    body_s: float = BODY_S,
    several: bool = False,
) -> web.Application:
    """Return the application with all routes; the composition root fills in its keys.

    Args:
        authenticator: Knows who may do what.
        max_body: Bytes of the largest request body.
        front: Checks the host of every request; None: no host is checked (tests of single routes).
        body_s: Longest wait for the body of a request, in seconds.
        several: This process is one of several, and some requests are for others.
    """
    checks = [front.middleware] if front is not None else []
    if several:
        checks.append(from_nodes())
    middlewares = [refuse_versions, *checks, preflight(authenticator), answer_errors, answer_wavix_errors]
    app = web.Application(middlewares=middlewares, client_max_size=max_body)
    app.on_response_prepare.append(add_headers)
    if several:
        app.on_response_prepare.append(send_away)
    app.on_response_prepare.append(welcome(authenticator))
    app.on_response_prepare.append(static.revalidate)
    written = {(route.method, route.path) for route in ROUTES}
    for route in ROUTES:
        served = route.handler
        if several:
            served = seeking(route.method, route.path, gathering(route.method, route.path, served))
            served = forwarding(route.path, served)
        handler = allow(authenticator, route.scope, served, route.refuse, body_s=body_s)
        paths = [route.path]
        if not route.path.endswith("/") and (route.method, f"{route.path}/") not in written:
            paths.append(f"{route.path}/")  # Many clients put a slash behind every path.
        for path in paths:
            if route.method == "GET":
                app.router.add_get(path, handler)
            else:
                app.router.add_route(route.method, path, handler)
    app[DESCRIBED] = ROUTES
    app[overview.VIEWERS] = viewers = overview.Viewers()
    app.on_shutdown.append(viewers.close)
    app[PROXIED] = front.proxied if front is not None else None
    app[GATE] = authenticator
    app[FEED] = allow(authenticator, "call", wavix_webhooks.event_feed)
    app.router.add_get("/static/{version:v-[0-9a-f]+}/{path:.+}", static.versioned)
    app.router.add_static("/static/", static_root(), follow_symlinks=False)
    return app
