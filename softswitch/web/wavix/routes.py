"""The routes of call control under both of its prefixes; those of webhooks stand before those with an id."""

from softswitch.dialects.wavix import records as w
from softswitch.dialects.wavix import requests as q
from softswitch.dialects.wavix import responses as r
from softswitch.web.operation import Operation
from softswitch.web.route import Route
from softswitch.web.wavix import handlers as wavix
from softswitch.web.wavix import media as wavix_media
from softswitch.web.wavix import records
from softswitch.web.wavix import webhooks as wavix_webhooks
from softswitch.web.wavix.errors import PREFIXES, refuse

_STATE = (400, 401, 404, 422)
_NO_BODY = (401, 404)

CALLS = (
    Operation(
        "POST",
        "",
        wavix.originate,
        "Call a destination",
        r.CallAnswer,
        q.Originate,
        refusals=(400, 401, 503),
    ),
    Operation("GET", "", wavix.list_calls, "List live calls", r.ManyCalls, refusals=(401,)),
)
WEBHOOKS = (
    Operation(
        "GET", "/webhooks", wavix_webhooks.list_webhooks, "List webhooks", list[r.Webhook], refusals=(401,)
    ),
    Operation(
        "POST",
        "/webhooks",
        wavix_webhooks.add_webhook,
        "Add a webhook for the calls of the account",
        r.WebhookMade,
        q.NewWebhook,
        status=201,
        refusals=(400, 401, 422),
    ),
    Operation(
        "DELETE",
        "/webhooks",
        wavix_webhooks.remove_webhooks,
        "Remove webhooks: those that are named, else all",
        r.Done,
        query=("id", "url", "event_type"),
        refusals=(400, 401, 404),
    ),
)
ONE_CALL = (
    Operation("GET", "/{id}", wavix.get_call, "Show a call, live or ended", r.OneCall, refusals=_NO_BODY),
    Operation("PATCH", "/{id}", wavix.update_call, "Write the tag of a call", r.Done, q.Update),
    Operation("DELETE", "/{id}", wavix.hang_up, "Hang up", r.Done, refusals=_NO_BODY),
    Operation(
        "POST",
        "/{id}/answer",
        wavix.answer,
        "Answer an incoming call; returns when it is answered",
        r.Done,
        q.Answer,
        optional=True,
        refusals=_STATE,
    ),
)
STREAMS = (
    Operation(
        "POST",
        "/{id}/tool-results",
        wavix_media.answer_tool,
        "Answer a tool call of a stream's service",
        r.Done,
        q.ToolResult,
        refusals=_STATE,
    ),
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
    Operation("POST", "/{id}/play", wavix_media.play, "Play a file", r.Playing, q.Play, refusals=_STATE),
    Operation(
        "DELETE", "/{id}/audio", wavix_media.stop_audio, "Stop playback", r.Done, refusals=(401, 404, 422)
    ),
    Operation("POST", "/{id}/tts", wavix_media.speak, "Speak a text", r.Playing, q.Speak, refusals=_STATE),
    Operation(
        "POST",
        "/{id}/recording",
        wavix_media.change_recording,
        "Start, pause, resume or stop the recording",
        r.Done,
        q.ChangeRecording,
        refusals=_STATE,
    ),
    Operation(
        "POST",
        "/{id}/transfer",
        wavix_media.transfer,
        "Transfer the call",
        r.Done,
        q.Transfer,
        refusals=_STATE,
    ),
    Operation(
        "POST",
        "/{id}/collect",
        wavix_media.collect,
        "Collect digits; the result is posted to the webhook",
        r.Done,
        q.Collect,
        refusals=_STATE,
    ),
)

_CDRS = ("from", "to", "type", "disposition", "from_search", "to_search", "sip_trunk", "uuid")
_PAGE = ("page", "per_page")
RECORDS = (
    Operation(
        "GET",
        "/v1/cdrs",
        records.list_cdrs,
        "List records of calls",
        w.ManyCdrs,
        refusals=(400, 401),
        query=(*_CDRS, *_PAGE),
    ),
    Operation(
        "POST",
        "/v1/cdrs",
        records.search_cdrs,
        "Search records of calls; the body has the parameters of the list",
        w.ManyCdrs,
        refusals=(400, 401),
    ),
    Operation(
        "GET",
        "/v1/cdrs/all",
        records.export_cdrs,
        "Records of calls as one text, a record in each line",
        str,
        refusals=(400, 401),
        query=(*_CDRS, *_PAGE),
    ),
    Operation(
        "GET",
        "/v1/cdrs/{id}",
        records.get_cdr,
        "Show the record of a call",
        w.Cdr,
        refusals=_NO_BODY,
        query=("show_transcription",),
    ),
    Operation(
        "PUT",
        "/v1/cdrs/{id}/retranscribe",
        records.retranscribe,
        "Transcribe the recording of a call; returns before the transcription is made",
        r.Done,
        q.Retranscribe,
        optional=True,
        refusals=(400, 401, 404, 422, 503),
    ),
    Operation(
        "GET",
        "/v1/cdrs/{id}/transcriptions",
        records.get_transcript,
        "The transcription of a call (another spelling)",
        w.OneTranscript,
        refusals=_NO_BODY,
    ),
    Operation(
        "GET",
        "/v1/cdrs/{id}/transcription",
        records.get_transcript,
        "The transcription of a call",
        w.OneTranscript,
        refusals=_NO_BODY,
    ),
    Operation(
        "GET",
        "/v1/recordings",
        records.list_recordings,
        "List recordings",
        w.ManyRecordings,
        refusals=(400, 401),
        query=("from_date", "to_date", "call_uuid", *_PAGE),
    ),
    Operation(
        "GET",
        "/v1/recordings/{id}",
        records.get_recording,
        "Show a recording; the id of a call redirects to the file of its newest recording",
        w.OneRecording,
        refusals=_NO_BODY,
    ),
    Operation(
        "GET",
        "/v1/recordings/{id}/file",
        records.get_file,
        "The file of a recording",
        None,
        refusals=_NO_BODY,
    ),
    Operation(
        "DELETE",
        "/v1/recordings/{id}",
        records.delete_recording,
        "Delete a recording",
        r.Done,
        refusals=_NO_BODY,
    ),
)
"""Operations on records, whose paths are complete."""

GROUPS = {"Webhooks": WEBHOOKS, "Calls": CALLS + ONE_CALL, "Streams": STREAMS, "Media": MEDIA}
"""Operations by what they concern; a path that is written out stands before one with an id."""

ROUTES = tuple(
    Route(operation.method, prefix + operation.path, operation.handler, "call", refuse)
    for prefix in PREFIXES
    for group in GROUPS.values()
    for operation in group
) + tuple(Route(operation.method, operation.path, operation.handler, "call", refuse) for operation in RECORDS)
