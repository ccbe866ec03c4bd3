"""Voices of requests."""

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from softswitch.settings import Settings
from softswitch.settings.wavix import Wavix
from softswitch.web.keys import SETTINGS
from softswitch.web.wavix.media import _voices


def test_voices_of_requests_are_those_of_the_settings_in_any_case() -> None:
    application = web.Application()
    application[SETTINGS] = Settings(wavix=Wavix(voices=("Polly.Joanna = slt", "Hans=de")))
    request = make_mocked_request("POST", "/", app=application)
    assert _voices(request) == {"polly.joanna": "slt", "hans": "de"}
