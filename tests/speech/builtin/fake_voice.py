"""A voice for tests of what stands around voices: 10 ms of a square wave for each letter, in two pieces."""

import struct


class FakeVoice:
    def about(self):
        return {"voice": "fake"}

    def work(self, job, body, emit):
        letters = len(job["text"])
        half = b"\x00\x10\x00\xf0" * 60 * letters
        for _ in range(2):
            emit(struct.pack("<I", 24000) + half)
        words, at = [], 0
        for word in job["text"].split():
            words.append([word, 10 * at])
            at += len(word) + 1
        return {"words": words}


load = FakeVoice
