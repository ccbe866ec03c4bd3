"""The protocols of Deepgram: listen (Nova), Flux with its turns, speak (Aura)."""
