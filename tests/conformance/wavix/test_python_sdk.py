"""The Python SDK of Wavix against a running switch: every method for calls, webhooks, records, recordings."""

import asyncio
import datetime as dt
from typing import Any

import httpx
import pytest
from wavix import AsyncWavix
from wavix.call_control import CallDtmfCollectRequestPrompt, CallDtmfCollectRequestPromptSay
from wavix.core.api_error import ApiError
from wavix.types import (
    Call,
    CallStatusWebhook,
    CdrTranscriptionCompletedWebhook,
    TranscriptionFilter,
    TranscriptionFilterAny,
)

from tests.conformance.conftest import StartSwitch
from tests.conformance.wavix.test_webhooks import pair
from tests.support.bots import Bot
from tests.support.control import Control, Hooks

TODAY = dt.datetime.now(tz=dt.UTC).date()
YESTERDAY, TOMORROW = TODAY - dt.timedelta(days=1), TODAY + dt.timedelta(days=1)

SPEECH: dict[str, dict[str, Any]] = {"speech": {"preload": True}}
"""The models are there when the call begins."""
GREETING = "You have reached the office of John so please leave a message after the tone"
"""One sentence: it sounds without a gap however slowly the next would be made."""


async def test_whole_surface_for_calls_runs_without_a_decoding_error(
    start_switch: StartSwitch, bot: Bot
) -> None:
    switch = start_switch({"auth": {"api_keys": ["one:first:call"]}, "wavix": {"per_minute": 0.06}})
    async with Hooks() as hooks, httpx.AsyncClient(follow_redirects=True) as http:
        sdk = AsyncWavix(token="first", base_url=switch.url("").rstrip("/"), httpx_client=http)

        # Webhooks of the account.
        made = await sdk.call_webhooks.create(url=hooks.url(), event_type="on-call")
        assert (made.success, made.url) == (True, hooks.url())
        await sdk.call_webhooks.create(url=hooks.url("record"), event_type="post-call")
        listed = await sdk.call_webhooks.list()
        assert {(one.url, one.event_type) for one in listed} == {
            (hooks.url(), "on-call"),
            (hooks.url("record"), "post-call"),
        }

        # A call, its streams, what is played into it, and digits.
        seen: asyncio.Queue[str] = asyncio.Queue()

        async def answer(body: dict[str, Any]) -> int:
            if body.get("event_type") == "completed":
                seen.put_nowait((await sdk.call_control.get(body["id"])).call.event_type)
            return 200

        hooks.answer = answer
        created = await sdk.call_control.create(
            from_="100", to="echo", callback_url=hooks.url(), recording=True, tag="vip", timeout=20
        )
        assert created.id is not None
        call = created.id
        await hooks.wait("answered")
        assert [one.id for one in (await sdk.call_control.list()).calls] == [call]
        assert (await sdk.call_control.get(call)).call.event_type == "answered"
        assert (await sdk.call_control.update(call, tag="new")).success
        stream = await sdk.call_control.streams.create(
            call, stream_url=bot.url(), stream_type="oneway", stream_channel="both"
        )
        assert stream.success
        assert stream.stream_id is not None
        await bot.stream()
        assert (await sdk.call_control.streams.delete(call, stream.stream_id)).success
        assert (await sdk.call_control.audio.play(call, audio_file=hooks.url("none.wav"))).success
        assert (await sdk.call_control.audio.stop(call)).success
        say = CallDtmfCollectRequestPromptSay(text="Your number?", voice="Joanna", language="en")
        prompt = CallDtmfCollectRequestPrompt(say=say)
        assert (await sdk.call_control.collect(call, max_digits=4, timeout=1, prompt=prompt)).success
        await hooks.until(lambda: {"started", "failed"} <= {one["status"] for one in hooks.about("collect")})
        audio = [one["status"] for one in hooks.about("audio")]
        assert audio[:2] == ["started", "completed"]
        assert (await sdk.call_control.delete(call)).success
        await hooks.wait("completed")
        await hooks.until(lambda: any("disposition" in body for body in hooks.bodies))
        async with asyncio.timeout(60):
            assert await seen.get() == "completed"
        for body in hooks.bodies:
            if "disposition" in body:
                assert CallStatusWebhook.model_validate(body).charge == "0.0600"
            else:
                Call.model_validate(body)

        # Its record, once it is stored, and its recording.
        async with asyncio.timeout(60):
            while not (await sdk.cdrs.list(from_=YESTERDAY, to=TOMORROW, type="placed")).items:
                await asyncio.sleep(0.05)
        listed_cdrs = await sdk.cdrs.list(
            from_=YESTERDAY, to=TOMORROW, type="placed", to_search="ech", disposition="answered", per_page=10
        )
        [cdr] = listed_cdrs.items
        assert (cdr.call_id, cdr.from_, cdr.to, cdr.per_minute) == (call, "100", "echo", "0.0600")
        assert (listed_cdrs.pagination.total, listed_cdrs.pagination.total_pages) == (1, 1)
        for nothing in ({"type": "received"}, {"type": "placed", "from_search": "%"}):
            assert not (await sdk.cdrs.list(from_=YESTERDAY, to=TOMORROW, **nothing)).items
        found = await sdk.cdrs.search(type="placed", from_=str(YESTERDAY), to=str(TOMORROW), min_duration=0)
        assert [one.call_id for one in found.items] == [call]
        assert (await sdk.cdrs.get(call)).disposition == "answered"
        assert call in await sdk.cdrs.list_all(from_=YESTERDAY, to=TOMORROW, type="placed")
        for missing in (sdk.cdrs.transcriptions, sdk.cdrs.transcription.get):
            with pytest.raises(ApiError) as error:
                await missing(call)
            assert error.value.status_code == 404
        with pytest.raises(ApiError) as error:
            await sdk.cdrs.search(
                type="placed",
                from_=YESTERDAY,
                to=TOMORROW,
                transcription=TranscriptionFilter(any=TranscriptionFilterAny(must=["x"])),
            )
        assert error.value.status_code == 400
        assert "transcription" in str(error.value.body)
        recordings = await sdk.call_recording.list(from_date=YESTERDAY, to_date=TOMORROW, call_uuid=call)
        assert recordings.recordings is not None
        [recording] = recordings.recordings
        assert (await sdk.call_recording.get(recording.id)).call_uuid == call
        await sdk.call_recording.get_by_call(call)
        file = await http.get(recording.url, headers={"Authorization": "Bearer first"})
        assert file.content[:4] == b"RIFF"
        assert (await sdk.call_recording.delete(recording.id)).success
        assert (await sdk.call_webhooks.delete(event_type="on-call")).success


async def test_records_of_other_accounts_are_not_seen(start_switch: StartSwitch) -> None:
    switch = start_switch({"auth": {"api_keys": ["one:first:call", "two:second:call"]}})
    async with Hooks() as hooks, httpx.AsyncClient() as http:
        base = switch.url("").rstrip("/")
        one = AsyncWavix(token="first", base_url=base, httpx_client=http)
        two = AsyncWavix(token="second", base_url=base, httpx_client=http)
        call = (
            await one.call_control.create(from_="1", to="echo", callback_url=hooks.url(), recording=True)
        ).id
        assert call is not None
        await hooks.wait("answered")
        await one.call_control.delete(call)
        await hooks.wait("completed")
        async with asyncio.timeout(60):
            while not (await one.call_recording.list(call_uuid=call)).recordings:
                await asyncio.sleep(0.05)
        recordings = (await one.call_recording.list()).recordings
        assert recordings is not None
        assert not (await two.cdrs.list(from_=YESTERDAY, to=TOMORROW, type="placed")).items
        assert not (await two.call_recording.list()).recordings
        for refused in (
            two.call_control.get(call),
            two.cdrs.get(call),
            two.call_recording.get(recordings[0].id),
        ):
            with pytest.raises(ApiError) as error:
                await refused
            assert error.value.status_code == 404


def spoken(text: str | None) -> set[str]:
    """Return the words of a text, without case and punctuation."""
    return {word.strip(".,!?").lower() for word in (text or "").split()}


async def test_answered_call_is_transcribed_and_told_by_webhook(start_switch: StartSwitch) -> None:
    two = pair(start_switch, SPEECH, SPEECH)
    async with Hooks() as hooks, Control(two.near) as near, httpx.AsyncClient() as http:
        sdk = AsyncWavix(token="any", base_url=two.far.url("").rstrip("/"), httpx_client=http)
        await sdk.call_webhooks.create(url=hooks.url(), event_type="on-call")
        await sdk.call_webhooks.create(url=hooks.url("record"), event_type="post-call")
        made = await near.post("", **{"from": "200", "to": two.uri})
        call = (await hooks.wait("call_setup"))["uuid"]
        assert (await sdk.call_control.answer(call, call_recording=True, call_transcription=True)).success
        await near.until(made.body["uuid"], "answered")
        await near.post(f"/{made.body['uuid']}/tts", text="My dog likes water.")
        await asyncio.sleep(2.5)
        async with Control(two.far) as far:
            await far.post(f"/{call}/tts", text="Please wait a moment.")
            await hooks.until(lambda: "completed" in {one["status"] for one in hooks.about("audio")})
            await asyncio.sleep(1.0)
            assert (await sdk.call_control.delete(call)).success
        bodies = hooks.bodies
        async with asyncio.timeout(45):
            while not any(set(body) == {"uuid", "status"} for body in bodies):
                await asyncio.sleep(0.05)
        told = CdrTranscriptionCompletedWebhook.model_validate(bodies[-1])
        assert (told.uuid_, told.status) == (call, "completed")
        found = await sdk.cdrs.transcription.get(call)
        assert {"dog", "water"} <= spoken(found.transcript["200"])
        assert {"wait", "moment"} <= spoken(found.transcript["100"])
        assert [turn.type for turn in found.turns] == ["200", "100"]
        assert [turn.s < turn.e for turn in found.turns if turn.s is not None and turn.e is not None]
        assert (await sdk.cdrs.transcriptions(call)).turns == found.turns
        reference = (await sdk.cdrs.get(call, show_transcription=True)).transcription
        assert reference is not None
        assert (reference.uuid_, found.status) == (found.uuid_, "completed")
        assert (await http.get(reference.url)).json()["call_uuid"] == call
        listed = await sdk.cdrs.search(type="received", from_=YESTERDAY, to=TOMORROW)
        assert [one.transcription for one in listed.items] == [reference]

        # Once more, in a language that the built-in recogniser does not know.
        assert (await sdk.cdrs.retranscribe(call, language="de", webhook_url=hooks.url("again"))).success
        await hooks.until(lambda: any(path == "/again" for path, *_ in hooks.requests), "not told")
        assert hooks.bodies[-1] == {"uuid": call, "status": "failed"}
        assert (await sdk.cdrs.transcription.get(call)).uuid_ == found.uuid_


async def test_machine_that_answers_is_detected(start_switch: StartSwitch) -> None:
    switch = start_switch(SPEECH)
    async with Hooks() as hooks, Control(switch) as control, httpx.AsyncClient() as http:
        sdk = AsyncWavix(token="any", base_url=switch.url("").rstrip("/"), httpx_client=http)
        created = await sdk.call_control.create(
            from_="100", to="echo", callback_url=hooks.url(), voicemail_detection=True
        )
        assert created.id is not None
        await hooks.wait("answered")
        # What is spoken into it comes back as what it says.
        await control.post(f"/{created.id}/tts", text=GREETING)
        await hooks.until(lambda: hooks.about("machine_detection"), "no verdict")
        assert hooks.about("machine_detection")[0]["status"] == "machine"
        [told] = [
            one for one in hooks.bodies if (one["event_payload"] or {}).get("type") == "machine_detection"
        ]
        assert Call.model_validate(told).machine_detected
        assert (await sdk.call_control.get(created.id)).call.machine_detected
        await sdk.call_control.delete(created.id)
        assert (await hooks.wait("completed"))["machine_detected"]
        async with asyncio.timeout(60):
            while not (await sdk.cdrs.list(from_=YESTERDAY, to=TOMORROW, type="placed")).items:
                await asyncio.sleep(0.05)
        assert (await sdk.cdrs.get(created.id)).answered_by == "machine"


async def test_transfer_records_and_transcribes(start_switch: StartSwitch) -> None:
    switch = start_switch()
    async with Hooks() as hooks, Control(switch, "/v1/calls") as control:
        call = await control.call(callback_url=hooks.url())
        reply = await control.post(
            f"/{call}/transfer",
            to="echo",
            call_recording=True,
            call_transcription=True,
        )
        assert reply.body == {"success": True}
        await hooks.until(lambda: hooks.about("transfer"), "not transferred")
        await asyncio.sleep(1.2)
        await control.delete(f"/{call}")
        records = Control(switch, "/v1")
        async with records, asyncio.timeout(60):
            while not (found := (await records.get("/recordings", call_uuid=call)).body["recordings"]):
                await asyncio.sleep(0.05)
            assert found[0]["duration"] >= 1
            while (await records.get(f"/cdrs/{call}/transcription")).status == 404:
                await asyncio.sleep(0.05)
            body = (await records.get(f"/cdrs/{call}/transcription")).body
        assert (body["status"], body["call_uuid"]) == ("completed", call)
