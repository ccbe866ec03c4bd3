/* Read in the page by the tests: how loud and how high one side of the call sounds right now. */
(side) => {
  const meter = globalThis.softswitch.session.sound[side];
  if (!meter) return { level: -120, pitch: 0 };
  const { sampleRate } = meter.context;
  const samples = new Float32Array(2048);
  meter.getFloatTimeDomainData(samples);
  const energy = (from, to) => {
    let sum = 0;
    for (let at = from; at < to; at++) sum += samples[at] * samples[at];
    return sum;
  };
  // Pitch of a voice: the lag at which the signal resembles itself most, 70..400 Hz.
  const longest = Math.floor(sampleRate / 70);
  const length = samples.length - longest;
  let best = 0;
  let lag = 0;
  for (let shift = Math.floor(sampleRate / 400); shift <= longest; shift++) {
    let sum = 0;
    for (let at = 0; at < length; at++) sum += samples[at] * samples[at + shift];
    const alike = sum / Math.sqrt(energy(0, length) * energy(shift, shift + length) + 1e-12);
    if (alike > best + 0.02) {
      best = alike;
      lag = shift;
    }
  }
  const level = 10 * Math.log10(energy(0, samples.length) / samples.length + 1e-12);
  return { level, pitch: best > 0.6 ? sampleRate / lag : 0 };
}
