"""Speech that ships with the switch: flite, espeak-ng, pocketsphinx."""
