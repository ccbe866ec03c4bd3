"""The protocols of OpenAI. Groq, LocalAI, vLLM, speaches, Kokoro-FastAPI and whisper.cpp speak them too."""
