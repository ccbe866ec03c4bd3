"""Call the switch as a person would: be greeted, speak, interrupt, press keys, hang up.

python examples/call.py ws://127.0.0.1:8080/call sentence.wav   (mono, 16 bits, 8, 16, 24 or 48 kHz)
"""

import asyncio
import sys
import wave

from softswitch.client import AsrFinal, Interruption, TrackEnd, connect

STORY = "Once upon a time there was a telephone exchange in which many people were connected by hand."


async def main(url: str, sentence: str) -> None:
    """Make the call, with the file `sentence` as the microphone."""
    with wave.open(sentence) as file:
        rate, speech = file.getframerate(), file.readframes(file.getnframes())
    async with connect(url, option={"samplerate": rate, "asr": {"provider": "builtin"}}) as call:
        await call.say("Hello, how can I help you?", play_id="greeting")
        print("greeted for", (await call.wait(TrackEnd, 20, play_id="greeting")).duration, "ms")
        await call.stream(speech + bytes(rate * 2))  # and a second of silence, to be understood
        print("understood:", (await call.wait(AsrFinal, 20)).text)
        await call.say(STORY, play_id="story")
        await asyncio.sleep(1)
        await call.interrupt()
        print("interrupted after", (await call.wait(Interruption, 20)).position, "ms")
        await call.dtmf("42#")
        await call.hangup()
        print("hung up:", call.end and call.end.reason)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
