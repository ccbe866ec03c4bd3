"""The tests mirror the sources: a test module is found where its module leads one to look for it."""

from pathlib import Path

from tests.conftest import ROOT

OTHER_FOLDERS = {"browser", "clients", "conformance", "deploy", "networks", "scripts"}
"""Folders of `tests` that mirror no package: they try the whole switch, or what lies beside it."""

SPANNING = {
    "call/test_any_order.py": "events of a call in any order, through all modules of the package",
    "cli/test_main.py": "the program as a process: `softswitch/__main__.py`",
    "client/test_documented_bots.py": "the programs of the documents",
    "client/test_examples.py": "the programs of `examples`",
    "client/test_with_switch.py": "the client package against a running switch",
    "dialects/streams/test_exchange.py": "whole exchanges in every stream dialect",
    "dialects/streams/test_registry.py": "the registry in `dialects/streams/__init__.py`",
    "legs/pyvoip/patches/test_contract.py": "what all the patches rely on in the library",
    "legs/pyvoip/test_fuzz.py": "random datagrams at all that receives them",
    "legs/sip/media/test_alternation.py": "offers and answers between two legs",
    "legs/sip/media/test_chromium.py": "the media of a leg with a browser as the peer",
    "legs/sip/media/test_secure.py": "ICE, DTLS and SRTP together",
    "legs/test_cancellation.py": "set-ups of all kinds of legs, cancelled at every step",
    "legs/webrtc/test_aiortc_private.py": "what the package `aiortc_private` relies on in the library",
    "legs/webrtc/test_chromium.py": "the leg with a browser as the peer",
    "legs/webrtc/test_engine.py": "the leg with the real engine",
    "legs/webrtc/test_trickle.py": "candidates that come after the answer, through leg and connection",
    "legs/webrtc/test_turn.py": "the leg through a real TURN server",
    "legs/websocket/test_frame_reader_client.py": "`frame_reader.py` as a client uses it",
    "media/engine/test_engine_rtp.py": "the engine with the real RTP plane",
    "media/engine/test_stalls.py": "the engine, its clock and its thread on a simulated machine",
    "media/tracks/test_live_track.py": "`track.py` and `live_tracks.py` with a live source",
    "rtp/test_scenarios.py": "scenarios through the whole receiver",
    "settings/test_sample.py": "the file `softswitch.toml`",
    "sip/test_agent_hostile.py": "hostile peers of `agent.py`",
    "sip/test_hostile.py": "hostile input for all readers of the package",
    "sip/test_torture.py": "the messages of RFC 4475",
    "speech/hosted/test_asr_suite.py": "one suite for all protocols of recognition",
    "speech/hosted/test_call.py": "hosted speech in a call of a running switch",
    "speech/hosted/test_protocols.py": "spoilt messages for the protocols of all kinds",
    "speech/hosted/test_tts_suite.py": "one suite for all protocols of synthesis",
    "speech/test_example_provider.py": "the provider of the guide",
    "speech/test_plugin.py": "a provider in a wheel of its own",
    "store/test_rooms.py": "rooms in every kind of store",
    "store/test_webhooks.py": "webhooks in every kind of store",
    "test_docs.py": "the documents",
    "test_mirror.py": "the tree of the tests",
    "test_project.py": "`pyproject.toml`",
    "test_reference.py": "the reference pages",
    "web/test_bodies.py": "late and broken requests on every route",
}
"""Test modules in mirroring folders that try more than one module, or none, each with what it tries."""

MOST_SPANNING = 40
"""A limit on the list: a test of one module belongs beside it."""


def mirroring() -> set[str]:
    """Return the test modules in folders that mirror the sources, as paths below `tests`."""
    paths = (path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py"))
    return {path.as_posix() for path in paths if path.parts[0] not in OTHER_FOLDERS}


def module_of(test: str) -> Path:
    """Return the module that a test module names."""
    path = Path(test)
    return ROOT / "softswitch" / path.parent / path.name.removeprefix("test_")


def test_every_test_module_names_a_module_or_is_listed():
    strays = sorted(test for test in mirroring() if not module_of(test).is_file() and test not in SPANNING)
    assert not strays, f"no such module in softswitch: rename or move {strays}, or list them in SPANNING"


def test_every_listed_test_module_exists_and_names_no_module():
    assert not SPANNING.keys() - mirroring(), "listed in SPANNING, and gone"
    named = [test for test in SPANNING if module_of(test).is_file()]
    assert not named, f"listed in SPANNING without need: {named} have their modules"
    assert all(SPANNING.values())
    assert len(SPANNING) <= MOST_SPANNING


def test_other_folders_mirror_no_package():
    for folder in OTHER_FOLDERS:
        assert (ROOT / "tests" / folder).is_dir(), folder
        assert not (ROOT / "softswitch" / folder).exists(), folder
