"""A memory of what was parsed: the messages of one call repeat the same Via, From, To and URI many times."""

from collections.abc import Callable
from functools import lru_cache, update_wrapper
from typing import Concatenate, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

MOST_TEXTS = 1024
"""Texts remembered of each kind; the one used longest ago is dropped first."""
LONGEST_TEXT = 256
"""Characters of the longest text that is remembered; with `MOST_TEXTS` it bounds the memory."""


def remembered(parse: Callable[Concatenate[str, P], T]) -> Callable[Concatenate[str, P], T]:
    """Make a parser remember its results for short texts; errors are not remembered.

    Args:
        parse: Returns an immutable value for a text and further arguments that can be hashed.
    """
    known = cast("Callable[Concatenate[str, P], T]", lru_cache(MOST_TEXTS)(parse))

    def parse_once(text: str, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return (known if len(text) <= LONGEST_TEXT else parse)(text, *args, **kwargs)

    return update_wrapper(parse_once, parse)
