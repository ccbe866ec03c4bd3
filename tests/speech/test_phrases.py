from softswitch.speech.phrases import PhraseCache, Spoken


def phrase(size):
    return (Spoken(bytes(size), 8000),)


def test_cache_returns_what_was_put_and_counts():
    cache = PhraseCache(1000)
    assert cache.get(("builtin", "a")) is None
    cache.put(("builtin", "a"), phrase(100))
    assert cache.get(("builtin", "a")) == phrase(100)
    assert (cache.hits, cache.misses, cache.bytes, len(cache)) == (1, 1, 100, 1)


def test_cache_forgets_the_least_recently_used_first():
    cache = PhraseCache(800)
    for name in "abcd":
        cache.put((name,), phrase(200))
    cache.get(("a",))
    cache.put(("e",), phrase(200))
    assert cache.get(("b",)) is None
    assert cache.get(("a",)) is not None
    assert cache.bytes == 800


def test_cache_replaces_without_counting_twice():
    cache = PhraseCache(1000)
    cache.put(("a",), phrase(200))
    cache.put(("a",), phrase(100))
    assert (cache.bytes, len(cache)) == (100, 1)


def test_cache_does_not_keep_what_would_fill_it():
    cache = PhraseCache(800)
    cache.put(("a",), phrase(201))
    assert len(cache) == 0


def test_cache_of_no_bytes_keeps_nothing():
    cache = PhraseCache(0)
    cache.put(("a",), phrase(2))
    assert cache.get(("a",)) is None
