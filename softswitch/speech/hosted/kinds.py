"""The one table of the kinds of providers; a kind's module is imported when it is first asked for."""

from importlib import import_module

from softswitch.speech.hosted.kind import Kind

MODULES: dict[str, str] = {
    "openai": "softswitch.speech.openai",
    "deepgram": "softswitch.speech.deepgram",
    "tencent": "softswitch.speech.tencent",
    "elevenlabs": "softswitch.speech.elevenlabs",
    "cartesia": "softswitch.speech.cartesia",
    "aliyun": "softswitch.speech.aliyun",
    "azure": "softswitch.speech.azure",
    "assemblyai": "softswitch.speech.assemblyai",
    "wyoming": "softswitch.speech.wyoming",
    "vosk": "softswitch.speech.vosk",
    "google": "softswitch.speech.google",
    "sherpa-onnx": "softswitch.speech.sherpa_onnx",
}
"""Package of each kind; it has a module `kind` with a `KIND`."""


def load(kind: str) -> Kind:
    """Return a kind by its name.

    Raises:
        KeyError: the name is not that of a kind.
    """
    found: Kind = import_module(f"{MODULES[kind]}.kind").KIND
    return found
