"""Transfer: REFER and its NOTIFYs in both directions (RFC 3515, RFC 4488, RFC 3892)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from softswitch.sip.context import clean, headers_of
from softswitch.sip.dialog.dialog import Dialog
from softswitch.sip.dialog.exchange import Exchange
from softswitch.sip.events import ReferProgressed, ReferReceived
from softswitch.sip.session.state import ReceivedRefer, SessionState
from softswitch.sip.syntax.field_values import parse_address
from softswitch.sip.syntax.grammar import MalformedError
from softswitch.sip.syntax.message import Request, Response
from softswitch.sip.syntax.parameters import encode
from softswitch.sip.syntax.phrases import phrase
from softswitch.sip.syntax.replaces import read_replaces, write_replaces
from softswitch.sip.syntax.uri import headers_of as uri_headers
from softswitch.sip.transaction.flow import Flow
from softswitch.sip.transaction.machine import Transaction

_FRAGMENT = re.compile(r"\s*SIP/2\.0\s+([1-6][0-9]{2})(?:[ \t]+([^\r\n]*))?", re.IGNORECASE)
"""Status line at the beginning of a message/sipfrag body (RFC 3420)."""
SUBSCRIPTION_S = 180
"""Lifetime of a transfer's subscription, as NOTIFYs state it."""


@dataclass(frozen=True, slots=True)
class Transfers:
    """Transfers of one call."""

    state: SessionState

    # ------------------------------------------------------------------ REFERs of the peer
    def receive_refer(self, request: Request, transaction: Transaction) -> None:
        """Handle a REFER within the call: emit `ReferReceived`, or refuse it."""
        state, context = self.state, self.state.context
        lines = request.headers.getlist("Refer-To")
        try:
            if len(lines) != 1:
                raise MalformedError(400, "One Refer-To is needed", field="Refer-To")
            target = parse_address(lines[0], "Refer-To").uri
        except MalformedError as error:
            context.reply(transaction, 400, error.reason)
            return
        if not state.established:
            context.reply(transaction, 491)
            return
        if len(state.refers) >= context.limits.pending:
            context.reply(transaction, 500, headers={"Retry-After": str(context.limits.retry_after)})
            return
        state.refer_count += 1
        sequence = request.cseq.sequence
        name = str(sequence)
        silent = (request.headers.get("Refer-Sub") or "").strip().lower().startswith("false")
        state.refers[name] = ReceivedRefer(transaction, name, sequence, state.refer_count == 1, silent)
        carried = uri_headers(target)
        replaces = read_replaces([carried["replaces"]]) if "replaces" in carried else None
        state.set_alarm(f"refer {name}", context.limits.request_s, lambda: self._overdue(name))
        context.emit(
            ReferReceived(
                state.id,
                name,
                str(target).partition("?")[0],
                _uri_of(request.headers.get("Referred-By")),
                replaces,
                headers_of(request),
            )
        )

    def accept(self, name: str) -> bool:
        """Answer a REFER with 202 and send its first NOTIFY, with 100; return False for an unknown name."""
        state = self.state
        refer = state.refers.get(name)
        if refer is None or refer.accepted:
            return False
        refer.accepted = True
        state.stop_alarm(f"refer {name}")
        response = state.context.response(refer.transaction, 202)
        if state.dialog is not None:
            response.headers.set("Contact", state.dialog.contact)
        if refer.silent:
            response.headers.set("Refer-Sub", "false")
        refer.transaction.respond(response)
        self._notify(refer, 100, "Trying")
        return True

    def report_progress(self, name: str, code: int, reason: str) -> bool:
        """Send a NOTIFY about an accepted REFER; return False for an unknown name.

        Args:
            name: `ReferReceived.refer`.
            code: Status of the new call; from 200 on it is final and ends the subscription.
            reason: Reason phrase; "" takes the standard one.
        """
        refer = self.state.refers.get(name)
        if refer is None or not refer.accepted:
            return False
        self._notify(refer, code, reason or phrase(code))
        if code >= 200:
            del self.state.refers[name]
        return True

    def refuse(self, name: str, code: int) -> bool:
        """Refuse a REFER; return False for an unknown name or one that is accepted already."""
        state = self.state
        refer = state.refers.get(name)
        if refer is None or refer.accepted:
            return False
        del state.refers[name]
        state.stop_alarm(f"refer {name}")
        state.context.reply(refer.transaction, code)
        return True

    # ------------------------------------------------------------------ REFERs of the agent
    def send(
        self, refer_to: str, referred_by: str, replaces: Dialog | None, headers: Mapping[str, str]
    ) -> bool:
        """Send a REFER; return False while another one is under way or if the call is not established.

        Args:
            refer_to: URI that the peer shall call.
            referred_by: URI for Referred-By, "" writes none.
            replaces: Dialog that the new call shall replace (attended transfer).
            headers: Headers to add.
        """
        state, dialog = self.state, self.state.dialog
        if dialog is None or not state.established or state.referring:
            return False
        target = clean(refer_to).strip("<>")
        if replaces is not None:
            value = write_replaces(replaces.call_id, replaces.remote_tag, replaces.local_tag)
            target += ("&" if "?" in target else "?") + "Replaces=" + encode(value, "-_.!~*'()")

        def build(_: object) -> tuple[Request, Flow]:
            request, flow = dialog.request("REFER")
            request.headers.set("Contact", dialog.contact)
            request.headers.set("Refer-To", f"<{target}>")
            if referred_by:
                request.headers.set("Referred-By", f"<{clean(referred_by).strip('<>')}>")
            state.context.add_headers(request, headers)
            return request, flow

        def on_response(_exchange: Exchange, response: Response, _synthetic: bool) -> None:
            if response.code >= 300 and state.referring:
                state.referring = False
                state.context.emit(ReferProgressed(state.id, response.code, response.phrase, final=True))

        state.referring = True
        Exchange(state.context, build, on_response, state.proof).start()
        return True

    def receive_notify(self, request: Request, transaction: Transaction) -> None:
        """Handle a NOTIFY about the agent's REFER: emit `ReferProgressed`."""
        state, context = self.state, self.state.context
        event = (request.headers.get("Event") or "").partition(";")[0].strip().lower()
        if event != "refer":
            context.reply(transaction, 489)
            return
        if not state.referring:
            context.reply(transaction, 481)
            return
        context.reply(transaction, 200)
        ended = (request.headers.get("Subscription-State") or "").strip().lower().startswith("terminated")
        found = _FRAGMENT.match(request.body.decode("utf-8", "replace"))
        code = int(found[1]) if found else 0
        final = ended or code >= 200
        if final:
            state.referring = False
        if found:
            context.emit(ReferProgressed(state.id, code, (found[2] or "").strip(), final))
        elif final:
            # The subscription ended without a status: the transfer cannot be taken for a success.
            context.emit(ReferProgressed(state.id, 500, "Outcome Unknown", final=True))

    # ------------------------------------------------------------------ internals
    def _overdue(self, name: str) -> None:
        self.state.context.count("refer_unanswered")
        self.refuse(name, 500)

    def _notify(self, refer: ReceivedRefer, code: int, reason: str) -> None:
        state, dialog = self.state, self.state.dialog
        if refer.silent or dialog is None:
            return
        subscription = "terminated;reason=noresource" if code >= 200 else f"active;expires={SUBSCRIPTION_S}"

        def build(_: object) -> tuple[Request, Flow]:
            request, flow = dialog.request("NOTIFY")
            # RFC 3515 section 2.4.6: only the first REFER of a dialog may go without its id.
            request.headers.set("Event", "refer" if refer.first else f"refer;id={refer.sequence}")
            request.headers.set("Subscription-State", subscription)
            request.headers.set("Contact", dialog.contact)
            request.headers.set("Content-Type", "message/sipfrag;version=2.0")
            request.body = f"SIP/2.0 {code} {clean(reason)}\r\n".encode("utf-8", "replace")
            return request, flow

        def on_response(_exchange: Exchange, response: Response, _synthetic: bool) -> None:
            if response.code >= 300:
                state.context.count("notify_refused")
                state.refers.pop(refer.name, None)

        Exchange(state.context, build, on_response, state.proof).start()


def _uri_of(text: str | None) -> str:
    try:
        return str(parse_address(text, "Referred-By").uri) if text else ""
    except MalformedError:
        return ""
