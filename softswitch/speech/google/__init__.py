"""The protocols of Google Cloud with an API key: whole utterances and whole sentences by HTTP."""
