"""The routes of call control, under both of its prefixes; those of webhooks stand before those with an id."""

from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix import responses as r
from softswitch.web import wavix, wavix_media, wavix_webhooks
from softswitch.web.operation import Operation
from softswitch.web.route import Route
from softswitch.web.wavix_errors import PREFIXES, refuse

_STATE = (400, 401, 404, 422)
_NO_BODY = (401, 404)

CALLS = (
    Operation(
        "POST",
        "",
        wavix.originate,
        "Call somebody",
        r.CallAnswer,
        q.Originate,
        refusals=(400, 401, 503),
    ),
    Operation("GET", "", wavix.list_calls, "List live calls", r.ManyCalls, refusals=(401,)),
)
WEBHOOKS = (
    Operation(
        "GET", "/webhooks", wavix_webhooks.list_webhooks, "List webhooks", r.ManyWebhooks, refusals=(401,)
    ),
    Operation(
        "POST",
        "/webhooks",
        wavix_webhooks.add_webhook,
        "Have a URL told of all calls",
        r.WebhookMade,
        q.NewWebhook,
        status=201,
        refusals=(400, 401, 422),
    ),
    Operation(
        "DELETE",
        "/webhooks",
        wavix_webhooks.remove_webhooks,
        "Remove webhooks; all of them, where nothing is named",
        r.Done,
        query=("id", "url", "event_type"),
        refusals=(400, 401, 404),
    ),
)
ONE_CALL = (
    Operation("GET", "/{id}", wavix.get_call, "Show a call, live or over", r.OneCall, refusals=_NO_BODY),
    Operation("PATCH", "/{id}", wavix.update_call, "Write on a call", r.Done, q.Update),
    Operation("DELETE", "/{id}", wavix.hang_up, "Hang up", r.Done, refusals=_NO_BODY),
    Operation(
        "POST",
        "/{id}/answer",
        wavix.answer,
        "Answer a call that came in; returns once it is answered",
        r.Done,
        q.Answer,
        optional=True,
        refusals=_STATE,
    ),
)
STREAMS = (
    Operation(
        "DELETE",
        "/answer/{id}/streams/{sid}",
        wavix.stop_stream,
        "Stop a stream (first spelling)",
        r.Done,
        refusals=_NO_BODY,
    ),
    Operation(
        "POST",
        "/{id}/streams",
        wavix.start_stream,
        "Stream a call to a WebSocket service",
        r.StreamStarted,
        q.StartStream,
        refusals=_STATE,
    ),
    Operation("DELETE", "/{id}/streams/{sid}", wavix.stop_stream, "Stop a stream", r.Done, refusals=_NO_BODY),
)
MEDIA = (
    Operation("POST", "/{id}/play", wavix_media.play, "Play a file", r.Done, q.Play, refusals=_STATE),
    Operation(
        "DELETE", "/{id}/audio", wavix_media.stop_audio, "Stop what plays", r.Done, refusals=(401, 404, 422)
    ),
    Operation("POST", "/{id}/tts", wavix_media.speak, "Speak a text", r.Done, q.Speak, refusals=_STATE),
    Operation(
        "POST",
        "/{id}/transfer",
        wavix_media.transfer,
        "Connect with somebody else",
        r.Done,
        q.Transfer,
        refusals=_STATE,
    ),
    Operation(
        "POST",
        "/{id}/collect",
        wavix_media.collect,
        "Gather keys; what came of it is told by webhook",
        r.Done,
        q.Collect,
        refusals=_STATE,
    ),
)

GROUPS = {"Webhooks": WEBHOOKS, "Calls": CALLS + ONE_CALL, "Streams": STREAMS, "Media": MEDIA}
"""Operations by what they concern; a path that is written out stands before one with an id."""

ROUTES = tuple(
    Route(operation.method, prefix + operation.path, operation.handler, "call", refuse)
    for prefix in PREFIXES
    for group in GROUPS.values()
    for operation in group
)
