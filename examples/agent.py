"""An agent: it greets, repeats what it understood, gives way when spoken over, and hangs up at the hash key.

python examples/agent.py ws://127.0.0.1:8080/call sentence.wav ...   (mono, 16 bits, 16 kHz)

The files stand for the person at the other end, who then presses #.
"""

import asyncio
import sys
import wave
from collections.abc import AsyncIterator, Sequence

from softswitch.audio.dtmf import generate
from softswitch.audio.pcm import to_bytes
from softswitch.client import AsrFinal, Call, Dtmf, Speaking, TrackEnd, connect


async def think(heard: str) -> AsyncIterator[str]:
    """Yield an answer piece by piece, as a language model does."""
    for piece in ("You said: ", heard, ". ", "What else?"):
        yield piece


async def agent(call: Call) -> None:
    """Answer whatever the person says."""
    await call.say("Welcome. Say something, or press the hash key.", play_id="greeting")
    turn = 0
    async for event in call.events():
        match event:
            case Speaking():
                await call.interrupt()
            case AsrFinal(text=text) if text:
                print("person:", text, flush=True)
                turn += 1
                await call.say_stream(think(text), play_id=f"turn-{turn}")
            case Dtmf(digit="#"):
                print("key: #", flush=True)
                await call.say("Goodbye.", play_id="goodbye", auto_hangup=True)


async def person(call: Call, sentences: Sequence[str]) -> None:
    """Say each sentence after the agent has finished, then press #."""
    for sentence in sentences:
        await call.wait(TrackEnd, 60)
        with wave.open(sentence) as file:
            await call.stream(file.readframes(file.getnframes()) + bytes(32000))
    await call.wait(TrackEnd, 60)
    await call.stream(to_bytes(generate("#", sample_rate=16000)))


async def main(url: str, *sentences: str) -> None:
    """Let the agent and the person talk until one of them ends it."""
    option = {"asr": {"provider": "builtin"}, "inbandDtmf": True}
    async with connect(url, option=option, resume_s=20) as call, asyncio.TaskGroup() as group:
        group.create_task(agent(call))
        group.create_task(person(call, sentences))
    print("over:", call.end and call.end.reason)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
