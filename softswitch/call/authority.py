"""Authority as one table: which principal may do which act to which call or room.

An *act* is a command to a call or an operation of the REST routes, in any dialect. A *principal* is the
client that asks for it. A *target* is the call or room that it changes. The table is asked where an act is
executed. ``docs/authority.md`` shows the table, and a test compares both.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from softswitch.call.vocabulary import commands as c

Grant = Literal["join", "speak", "hear", "record", "administer"]
"""What a token may be allowed in a room that it names."""
GRANTS: frozenset[str] = frozenset(get_args(Grant))
ANY_ROOM = "*"
"""Room id of a token that is valid for every room of its account."""
Whose = Literal["call", "waiting", "room"]
"""A call of the account, a call that came in and waits to be taken, a room of the account."""


class Principal(msgspec.Struct, frozen=True):
    """The holder of an API key or a token."""

    account: str = ""
    """Account that its calls and rooms belong to; empty: the administrator's."""
    scopes: frozenset[str] = frozenset()
    name: str = ""
    """Name of the key or subject of the token; two principals of one account may differ in it."""
    rooms: Mapping[str, frozenset[str]] | None = None
    """Grants by room id, or by ``*``; None: every grant in every room of the account."""

    @property
    def administers(self) -> bool:
        """Whether the principal may do everything to the calls and rooms of every account."""
        return "admin" in self.scopes

    @property
    def seat(self) -> str:
        """Identity of the principal in a room: only it may resume its seat."""
        return f"{self.account}\x1f{self.name}"

    def grants(self, room: str) -> frozenset[str]:
        """Return the grants in a room of its account."""
        if self.rooms is None or self.administers:
            return GRANTS
        return self.rooms.get(room, self.rooms.get(ANY_ROOM, frozenset()))


OPERATOR = Principal(scopes=frozenset({"call", "admin", "rooms", "supervise"}))
"""Principal of the rules in the settings: they may do everything, for the administrator."""


class Target(msgspec.Struct, frozen=True):
    """Call or room that an act changes."""

    account: str
    """Account it belongs to; empty: the administrator's."""
    whose: Whose = "call"
    room: str = ""
    """Id of the room, where it is one, or the call inside one."""


class Need(msgspec.Struct, frozen=True):
    """Scopes and grants that an act needs."""

    scopes: frozenset[str]
    """All of them."""
    grants: frozenset[str] = frozenset()
    """All of them, in the room."""

    def __str__(self) -> str:
        """Return the text of the need in the table of the documentation."""
        words = sorted(self.scopes)
        return " + ".join(words) + (f": {', '.join(sorted(self.grants))}" if self.grants else "")


class Rule(msgspec.Struct, frozen=True):
    """Needs of one act by the kind of target; None: only an administrator may do it."""

    call: Need | None = None
    waiting: Need | None = None
    room: Need | None = None

    def need(self, whose: Whose) -> Need | None:
        """Return the need for one kind of target."""
        match whose:
            case "call":
                return self.call
            case "waiting":
                return self.waiting
            case "room":
                return self.room


class Denied(msgspec.Struct, frozen=True):
    """Reason for which an act is not allowed."""

    hidden: bool
    """Whether the answer must be the same as for a target that does not exist."""
    reason: str
    """Missing scope or grant, for the client."""


def _call() -> Need:
    return Need(frozenset({"call"}))


def _room(*grants: Grant) -> Need:
    return Need(frozenset({"rooms"}), frozenset(grants))


def _costly() -> Need:
    """Return the need of an act that makes or moves calls."""
    return Need(frozenset({"call", "rooms"}), frozenset({"administer"}))


_BY_REACH: dict[c.Reach, Rule] = {
    c.Reach.SETS_UP: Rule(_call(), _call(), _costly()),
    c.Reach.REACHES_OUT: Rule(_call(), None, _costly()),
    c.Reach.SPEAKS: Rule(_call(), None, _room("speak")),
    c.Reach.HEARS: Rule(_call(), None, _room("hear")),
    c.Reach.SUPERVISES: Rule(Need(frozenset({"call", "supervise"}))),
    c.Reach.RECORDS: Rule(_call(), None, _room("record")),
    c.Reach.ENDS: Rule(_call(), _call(), _room("administer")),
}
"""Needs of the commands to a call, by their reach."""

RULES: dict[str, Rule] = {
    **{kind.__name__: _BY_REACH[kind.reach] for kind in get_args(c.Command)},
    "StartStream (two-way)": Rule(_call(), None, _room("hear", "speak")),
    # Calls.
    "open a call": Rule(call=_call()),
    "list calls": Rule(call=_call(), waiting=_call()),
    "see a call": Rule(_call(), _call(), _room("hear")),
    "tag a call": Rule(_call(), _call(), _room("administer")),
    "kill a call": Rule(),
    "see supervised calls": Rule(Need(frozenset({"supervise"}))),
    "follow the events of a call": Rule(),
    "read records, recordings, dumps": Rule(),
    # The switch.
    "change users, trunks, routes, keys": Rule(),
    # Rooms.
    "make a room": Rule(room=_room("administer")),
    "see a room": Rule(room=_room()),
    "join a room": Rule(room=_room("hear", "join")),
    "put a call into a room": Rule(room=Need(frozenset({"call"}), frozenset({"hear", "join", "speak"}))),
    "change or delete a room": Rule(room=_room("administer")),
    "record a room": Rule(room=_room("record")),
    "remove a participant": Rule(room=_room("administer")),
}
"""Needs of each act; the scope ``admin`` is enough for all, whatever the account of the target."""


def act_of(command: c.Command) -> str:
    """Return the act that a command is."""
    if isinstance(command, c.StartStream) and command.option.two_way:
        return "StartStream (two-way)"
    return type(command).__name__


def denial(principal: Principal, act: str, target: Target) -> Denied | None:
    """Return the reason for which a principal may not do an act, or None if it may.

    Args:
        principal: The client.
        act: A key of `RULES`.
        target: The call or room.

    Raises:
        KeyError: the table does not know the act.
    """
    rule = RULES[act]
    if principal.administers:
        return None
    if not reaches(principal, target):
        return Denied(True, "the call does not exist" if target.whose == "call" else "Room does not exist")
    need = rule.need(target.whose)
    if need is None:
        return Denied(False, f"{act}: the scope 'admin' is required")
    if missing := sorted(need.scopes - principal.scopes):
        return Denied(False, f"{act}: the scope {missing[0]!r} is required")
    if missing := sorted(need.grants - principal.grants(target.room)):
        return Denied(False, f"{act}: the grant {missing[0]!r} is required in this room")
    return None


def reaches(principal: Principal, target: Target) -> bool:
    """Whether a target exists for a principal at all."""
    if principal.administers:
        return True
    if target.whose == "waiting":
        return True
    if target.account != principal.account or not principal.account:
        return False
    return target.whose == "call" or principal.rooms is None or bool(principal.grants(target.room))
