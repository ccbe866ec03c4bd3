"""Which of the work that waits in the database began in this process; uploads and e-mail use it."""

MOST = 10_000
"""Items that are remembered; forgotten ones are done like those that another process left behind."""


class OwnWork:
    """Names of the work that this process does at once, while others leave it alone for some time."""

    def __init__(self, most: int = MOST) -> None:
        """Begin with none.

        Args:
            most: names that are kept; the oldest one goes for a new one.
        """
        self._most = most
        self._names: dict[str, None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        """Remember work of this process."""
        self._names[name] = None
        while len(self._names) > self._most:
            del self._names[next(iter(self._names))]

    def remove(self, name: str) -> None:
        """Forget work that is done; a name that is not known changes nothing."""
        self._names.pop(name, None)
