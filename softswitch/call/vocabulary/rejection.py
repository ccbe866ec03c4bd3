"""Reasons for which a command is rejected, as symbols: each dialect has its own words for them."""

from enum import StrEnum

import msgspec

from softswitch.errors import RejectedError


class Reason(StrEnum):
    """Symbol of one reason; the fields of :class:`Rejection` complete it."""

    WORDED = "worded"
    """``text`` says it: a dialect could not read the command, or a part below the call failed."""
    NO_PENDING_CALL = "no_pending_call"
    """``value``: name of the command."""
    BEING_SET_UP = "being_set_up"
    TOO_MANY_WAIT = "too_many_wait"
    NOT_ANSWERED = "not_answered"
    ALREADY_UP = "already_up"
    CALL_OVER = "call_over"
    WRONG_STATE = "wrong_state"
    """``value``: name of the command."""
    UNKNOWN_SUBJECT = "unknown_subject"
    NO_SECOND_PARTY = "no_second_party"
    SECOND_PARTY_PRESENT = "second_party_present"
    TRANSFER_UNDER_WAY = "transfer_under_way"
    OUT_OF_RANGE = "out_of_range"
    """``field`` names the value that has to be in a range."""
    UNKNOWN_KEYS = "unknown_keys"
    BRIDGE_WITH_ITSELF = "bridge_with_itself"
    ALREADY_BRIDGED = "already_bridged"
    """``value``: id of the call that this one is bridged with."""
    OTHER_BRIDGED = "other_bridged"
    UNKNOWN_CALL = "unknown_call"
    TOO_MANY_MARKS = "too_many_marks"
    TOO_MANY_TEXTS = "too_many_texts"
    TOO_MANY_LAYERS = "too_many_layers"
    UNKNOWN_STREAM = "unknown_stream"
    UNKNOWN_TOOL_CALL = "unknown_tool_call"
    STREAM_EXISTS = "stream_exists"
    TOO_MANY_TWO_WAY = "too_many_two_way"
    TOO_MANY_ONE_WAY = "too_many_one_way"
    NO_SERVICE = "no_service"
    """``value``: callee that names no WebSocket service."""
    NO_TELEPHONE = "no_telephone"
    """``value``: what only a telephone can do."""
    RECORDED_ALREADY = "recorded_already"
    NOT_RECORDED = "not_recorded"
    NOT_PAUSED = "not_paused"
    PAUSED_ALREADY = "paused_already"
    NOT_SUPERVISING = "not_supervising"
    SUPERVISES_ALREADY = "supervises_already"
    """``value``: id of the call that this one supervises."""
    SUPERVISOR_TALKS = "supervisor_talks"
    SUPERVISES = "supervises"
    """``value``: name of the command."""
    TOO_MANY_SUPERVISORS = "too_many_supervisors"
    NO_AGENT = "no_agent"
    UNKNOWN_LEG = "unknown_leg"


class Rejection(msgspec.Struct, frozen=True):
    """Reason of a rejection, with the field of the command and the values that belong to it."""

    reason: Reason
    field: str = ""
    """Name of the field of the command in the call model."""
    value: str = ""
    """Value that is wrong, or name of what the reason is about."""
    limit: int = 0
    """Bound that is reached."""
    text: str = ""
    """Words for the client, with :attr:`Reason.WORDED` alone."""

    def __str__(self) -> str:
        """Return the symbols, for logs."""
        return self.text or " ".join(filter(None, (self.reason, self.field, self.value)))


class CommandRejected(RejectedError):
    """A command cannot be carried out; the call lives on.

    Attributes:
        rejection: Reason, field and values.
        code: A number in the manner of HTTP status codes.
        sender: The part that rejects; ``command`` unless given otherwise.
        request_id: That of the command, where it had one.
    """

    def __init__(
        self,
        reason: Reason | str,
        code: int = 400,
        sender: str = "command",
        request_id: str | None = None,
        *,
        field: str = "",
        value: str = "",
        limit: int = 0,
    ) -> None:
        """Reject a command.

        Args:
            reason: A symbol; or, for what a dialect words itself, the words.
            code: 400-599.
            sender: The part that rejects.
            request_id: That of the command.
            field: Name of the field of the command.
            value: Value that is wrong, or name of what the reason is about.
            limit: Bound that is reached.
        """
        if isinstance(reason, Reason):
            self.rejection = Rejection(reason, field, value, limit)
        else:
            self.rejection = Rejection(Reason.WORDED, text=reason)
        super().__init__(str(self.rejection), field=field)
        self.code = code
        self.sender = sender
        self.request_id = request_id
