"""Check of codecs: whether a tone survives encoding and decoding."""

import numpy as np

from softswitch.audio import libopus
from softswitch.audio.bank import bank_for
from softswitch.audio.codec import G722, OPUS, PCMA, PCMU, Codec
from softswitch.audio.opus import OpusUnavailableError
from softswitch.cli.checks.finding import Finding, fail, ok, warn

AMPLITUDE = 8000.0
FRAMES = 10


def check() -> list[Finding]:
    """Return a finding for each codec."""
    return [codec(one) for one in (OPUS, G722, PCMU, PCMA)]


def codec(which: Codec) -> Finding:
    """Encode and decode 0.2 s of a 400 Hz tone; return the finding."""
    what = f"codec {which.name}"
    try:
        level = loudness(which)
    except (OpusUnavailableError, OSError, ValueError) as error:
        return fail(what, str(error), "pip install --force-reinstall av")
    if not 0.5 < level / (AMPLITUDE / np.sqrt(2)) < 2:
        return fail(
            what, f"a tone comes back at {level:.0f} instead of {AMPLITUDE / np.sqrt(2):.0f}", "reinstall"
        )
    if which is OPUS:
        version = libopus.version()
        if version is None:
            return warn(
                what, "works, without libopus: lost packets cannot be repaired", "apt-get install libopus0"
            )
        return ok(what, f"works ({version})")
    return ok(what, "works")


def loudness(which: Codec) -> float:
    """Return the root mean square of the second half of a tone after encoding and decoding."""
    samples = which.samples(20)
    times = np.arange(FRAMES * samples) / which.sample_rate
    tone = (AMPLITUDE * np.sin(2 * np.pi * 400 * times)).astype(np.float32).reshape(FRAMES, 1, samples)
    bank = bank_for(which, 1)
    slots = np.zeros(1, dtype=np.int64)
    bank.open(0)
    try:
        heard = [bank.decode(*bank.encode(frame, slots), slots)[0] for frame in tone]
    finally:
        bank.close(0)
    return float(np.sqrt(np.mean(np.concatenate(heard[FRAMES // 2 :], axis=1) ** 2)))
