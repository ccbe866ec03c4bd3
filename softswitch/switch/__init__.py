"""The use cases: carries out what calls decide, and tells them what happened below."""
