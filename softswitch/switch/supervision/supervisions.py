"""The table of supervisions: which call supervises which, in which mode, and which port hears which for that.

A supervisor's legs stand in the mix of the supervised call, with an audience: none (listen), the agent's
ports (whisper) or all (join). Taking over ends the agent's leg and bridges the two calls.
"""

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from softswitch.call.authority import OPERATOR, Principal, Target, denial
from softswitch.call.state import State
from softswitch.call.supervision import SENDER
from softswitch.call.vocabulary import commands as c
from softswitch.call.vocabulary import reports as r
from softswitch.call.vocabulary.effects import SuperviseCall
from softswitch.call.vocabulary.rejection import CommandRejected, Reason
from softswitch.call.vocabulary.values import AgentSide, SuperviseMode
from softswitch.media import messages as m
from softswitch.metrics import Reading
from softswitch.store.store import AuditRecord
from softswitch.switch.conversation.conversation import Conversation
from softswitch.switch.conversation.owner import no_call
from softswitch.switch.resources import Resources
from softswitch.switch.supervision.sides import agent_ports, agent_side
from softswitch.switch.supervision.watch import Watch

logger = logging.getLogger(__name__)

PREFIX = "supervise:"
ACT = "Supervise"
"""Key of the table of authority."""


class Places(Protocol):
    """The part of the bridges that a take-over needs."""

    def take_place(
        self, conversation: Conversation, other: Conversation, leg: str | None, *, alone: bool
    ) -> None:
        """Put the party of a call in the place of a leg of another one, or beside its first party."""

    def leave(self, conversation: Conversation) -> None:
        """End the bridge of a call, which goes on alone."""


class Supervisor(msgspec.Struct, frozen=True):
    """One supervision, for lists."""

    id: str
    """Id of the supervisor's call."""
    mode: SuperviseMode
    account: str
    began_ms: int
    """Epoch milliseconds."""


@dataclass(slots=True, eq=False)
class _Running:
    """One supervision."""

    supervisor: Conversation
    other: Conversation
    side: AgentSide
    watch: Watch
    began_ms: int
    mode: SuperviseMode = "listen"
    transcribes: bool = False
    applied: tuple[int, tuple[int, ...] | None] | None = None
    """Mix and audience that the engine was told last."""


class Supervisions:
    """The supervisions of the calls of one table."""

    def __init__(self, resources: Resources, calls: Mapping[str, Conversation], places: Places) -> None:
        """Begin without supervisions.

        Args:
            resources: The engine, the store, the limits.
            calls: Live calls by id, read only.
            places: The bridges between these calls.
        """
        self._resources, self._calls, self._places = resources, calls, places
        self._running: dict[str, _Running] = {}
        """By the id of the supervisor's call."""
        self._started: dict[SuperviseMode, int] = {"listen": 0, "whisper": 0, "join": 0, "take_over": 0}
        self._refused = 0

    def __len__(self) -> int:
        """Return how many calls supervise another one."""
        return len(self._running)

    def of(self, call_id: str) -> tuple[Supervisor, ...]:
        """Return who supervises a call, the longest first."""
        return tuple(
            Supervisor(one.supervisor.id, one.mode, one.supervisor.owner, one.began_ms)
            for one in self._running.values()
            if one.other.id == call_id
        )

    def side(self, call: Conversation) -> AgentSide:
        """Return the side of the agent of a call as the switch sees it."""
        return agent_side(call, self._bridged(call))

    def find(self, wanted: str, by: Principal) -> Conversation | None:
        """Return the live call that a client may supervise.

        Args:
            wanted: Id of the call, or name of a user who takes part in it; of several the latest.
            by: The client.
        """
        found = self._calls.get(wanted)
        known = [found] if found is not None else list(self._calls.values())[::-1]
        if found is None:
            known = [call for call in known if wanted.removeprefix("user:") in call.parties()]
        may = (call for call in known if _is_live(call) and denial(by, ACT, call.target) is None)
        return next(may, None)

    def refuse_callee(self, callee: str, by: Principal) -> tuple[int, str] | None:
        """Return code and reason why a client cannot supervise the call that a callee names, else None."""
        if not callee.startswith(PREFIX):
            return None
        denied = denial(by, ACT, Target(by.account))
        if denied is not None and not by.administers:
            return 403, denied.reason
        wanted = callee.removeprefix(PREFIX)
        return None if self.find(wanted, by) is not None else (404, f"callee: no answered call {wanted!r}")

    def figures(self) -> list[Reading]:
        """Return the figures for /metrics."""
        started = [
            Reading("supervisions_started", count, labels=(("mode", mode),))
            for mode, count in self._started.items()
        ]
        return [
            *started,
            Reading("supervisions_refused", self._refused),
            Reading("supervisions_active", len(self._running), "gauge"),
        ]

    # --- what calls ask for -----------------------------------------------------------

    def carry(self, supervisor: Conversation, effect: SuperviseCall) -> None:
        """Begin, change or end the supervision of a call.

        Args:
            supervisor: The supervisor's call.
            effect: What its client wants.

        Raises:
            CommandRejected: The call is not there for the client, is supervised by too many, or has no agent.
        """
        try:
            if effect.other:
                self._begin_or_change(supervisor, effect)
            else:
                self._stop(supervisor)
        except CommandRejected as rejected:
            self._refused += 1
            rejected.sender, rejected.request_id = SENDER, effect.request_id
            raise

    def ended(self, call: Conversation) -> None:
        """Note that a call has ended: as a supervisor, as a supervised call, or as neither."""
        if (running := self._running.get(call.id)) is not None:
            self._forget(running)
        for one in self._supervising(call):
            self._leave(one)

    def settled(self, call: Conversation) -> None:
        """Follow a supervised call, or one that is bridged with it, after something happened to it."""
        for one in list(self._running.values()):
            if one.other is call or one.other.bridged_with == call.id:
                self._apply(one)

    # --- inside -----------------------------------------------------------------------

    def _begin_or_change(self, supervisor: Conversation, effect: SuperviseCall) -> None:
        by = supervisor.supervising_by or _rule(supervisor.owner)
        running = self._running.get(supervisor.id)
        other = self.find(effect.other if running is None else running.other.id, by)
        if other is None or other is supervisor:
            raise no_call(effect.other)
        if running is None:
            most = self._resources.settings.limits.supervisors_per_call
            if len(self._supervising(other)) >= most:
                raise CommandRejected(Reason.TOO_MANY_SUPERVISORS, 429, limit=most)
            side = agent_side(other, self._bridged(other))
            began_ms = round(time.time() * 1000)
            running = _Running(supervisor, other, side, Watch(supervisor, other), began_ms)
        if effect.side is not None:
            running.side = effect.side
        before = running.mode if running.supervisor.id in self._running else ""
        if effect.mode == "take_over":
            self._take_over(running, alone=effect.alone)
        else:
            if effect.mode == "whisper" and not self._agent(running):
                raise CommandRejected(Reason.NO_AGENT, 409)
            running.mode = effect.mode
            if effect.transcript is not None:
                running.transcribes = effect.transcript
            self._running[supervisor.id] = running
            self._apply(running)
            supervisor.report(r.Supervises(other.id, effect.mode))
        self._note(running, by, before, effect.mode)

    def _apply(self, running: _Running) -> None:
        """Tell the engine who hears the supervisor now, where that has changed."""
        other, bridged = running.other, self._bridged(running.other)
        other.on_settled = self.settled
        if bridged is not None:
            bridged.on_settled = self.settled
        audience: tuple[int, ...] | None
        match running.mode:
            case "whisper":
                audience = self._agent(running)
            case "join":
                audience = None
            case _:
                audience = ()
        wanted = other.executor.legs.mix, audience
        if wanted != running.applied:
            running.applied = wanted
            for port in running.supervisor.executor.legs.ports():
                self._resources.engine.post(m.JoinMix(port, *wanted))
        running.watch.move(other.executor.legs.port_of(other.call.party), transcribes=running.transcribes)

    def _take_over(self, running: _Running, *, alone: bool) -> None:
        """Put the supervisor in the agent's place; where the machine is the agent, it falls silent."""
        supervisor, other, bridged = running.supervisor, running.other, self._bridged(running.other)
        second = other.call.second
        stays: Conversation
        leg: str | None
        if running.side == "first" and second is None and bridged is not None:
            # The agent's call is bridged with that of the other party, who stays.
            stays, leg = bridged, None
        elif running.side == "first" and (second is None or not second.up):
            raise CommandRejected(Reason.NO_AGENT, 409)
        else:
            stays, leg = other, second.leg if second is not None else None
            leg = other.call.party if running.side == "first" else leg
        self._forget(running)
        supervisor.report(r.Supervises(other.id, "take_over"))
        if stays.bridged_with is not None:
            self._places.leave(stays)
        _mute_machine(stays)
        self._places.take_place(supervisor, stays, leg, alone=alone)

    def _stop(self, supervisor: Conversation) -> None:
        running = self._running.get(supervisor.id)
        if running is None:
            raise CommandRejected(Reason.NOT_SUPERVISING, 409)
        self._leave(running)

    def _leave(self, running: _Running) -> None:
        """End a supervision whose supervisor's call goes on."""
        self._forget(running)
        supervisor = running.supervisor
        for port in supervisor.executor.legs.ports():
            self._resources.engine.post(m.JoinMix(port, supervisor.executor.mix))
        supervisor.report(r.SupervisionOver(running.other.id))

    def _forget(self, running: _Running) -> None:
        self._running.pop(running.supervisor.id, None)
        running.watch.close()
        if not self._supervising(running.other):
            running.other.on_settled = None

    def _supervising(self, call: Conversation) -> list[_Running]:
        return [one for one in self._running.values() if one.other is call]

    def _agent(self, running: _Running) -> tuple[int, ...]:
        return agent_ports(running.other, self._bridged(running.other), running.side)

    def _bridged(self, call: Conversation) -> Conversation | None:
        return self._calls.get(call.bridged_with or "")

    def _note(self, running: _Running, by: Principal, before: str, mode: SuperviseMode) -> None:
        """Count a supervision and write who did it: it concerns people who do not notice it."""
        if before != mode:
            self._started[mode] += 1
        supervisor = running.supervisor
        logger.info("a call is supervised", extra={"other": running.other.id, "mode": mode})
        self._resources.store.save_audit(
            AuditRecord(
                id=uuid.uuid4().hex,
                created_at=round(time.time() * 1000),
                who=by.name or by.account,
                address=supervisor.address,
                action="supervise",
                kind="call",
                name=running.other.id,
                before_json=msgspec.json.encode({"mode": before}).decode() if before else "",
                after_json=msgspec.json.encode({"mode": mode, "call": supervisor.id}).decode(),
            )
        )


def _rule(account: str) -> Principal:
    """Return who asks where a rule of the settings does: the account of the rule, else the operator."""
    return Principal(account, frozenset({"call", "supervise"}), account) if account else OPERATOR


def _is_live(call: Conversation) -> bool:
    """Whether a call can be supervised: answered, no end of another one, and no supervisor's call itself."""
    inner = call.is_internal or call.room or call.call.kind.is_inner or call.call.kind.in_room
    return call.call.state is State.UP and not inner and not call.call.supervises


def _mute_machine(call: Conversation) -> None:
    """Stop what the machine says in a call: playbacks, and services that may speak."""
    call.command(c.Interrupt())
    for stream in call.call.streams.two_way():
        call.command(c.StopStream(stream=stream))
