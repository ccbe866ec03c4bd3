"""The routes of call control, under both of its prefixes; those of webhooks stand before those with an id."""

from softswitch.web import wavix, wavix_media, wavix_webhooks
from softswitch.web.auth import Handler
from softswitch.web.route import Route
from softswitch.web.wavix_errors import PREFIXES, refuse

TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("POST", "", wavix.originate),
    ("GET", "", wavix.list_calls),
    ("GET", "/webhooks", wavix_webhooks.list_webhooks),
    ("POST", "/webhooks", wavix_webhooks.add_webhook),
    ("DELETE", "/webhooks", wavix_webhooks.remove_webhooks),
    ("DELETE", "/answer/{id}/streams/{sid}", wavix.stop_stream),
    ("GET", "/{id}", wavix.get_call),
    ("PATCH", "/{id}", wavix.update_call),
    ("DELETE", "/{id}", wavix.hang_up),
    ("POST", "/{id}/answer", wavix.answer),
    ("POST", "/{id}/streams", wavix.start_stream),
    ("DELETE", "/{id}/streams/{sid}", wavix.stop_stream),
    ("POST", "/{id}/play", wavix_media.play),
    ("DELETE", "/{id}/audio", wavix_media.stop_audio),
    ("POST", "/{id}/tts", wavix_media.speak),
    ("POST", "/{id}/transfer", wavix_media.transfer),
    ("POST", "/{id}/collect", wavix_media.collect),
)
"""Method, path behind the prefix, and who answers."""

ROUTES = tuple(
    Route(method, prefix + path, handler, "call", refuse)
    for prefix in PREFIXES
    for method, path, handler in TABLE
)
