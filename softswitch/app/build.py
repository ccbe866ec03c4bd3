"""Builds the switch from the settings: makes its parts and hands them to each other."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
from aiohttp import web

from softswitch import __version__
from softswitch.app.administration import administration
from softswitch.app.agents import Agents
from softswitch.app.certificates import attach_certificates
from softswitch.app.figures import export, of_services
from softswitch.app.lifecycle import (
    FAILED,
    ROOM_TABLE,
    SWITCH,
    close_rooms,
    running_parts,
    threads,
)
from softswitch.app.mailing import attach_mails
from softswitch.app.membership import Membership, follow, join
from softswitch.app.telemetry import trace_calls
from softswitch.app.uploading import attach_uploads
from softswitch.call.interfaces import IncomingCall
from softswitch.callees import known
from softswitch.dialects.rooms.options import stored_options
from softswitch.dialects.rooms.wording import refusal_phrase
from softswitch.dialects.rustpbx.notifier import RustpbxNotifier
from softswitch.dialects.streams import stream_dialects
from softswitch.dialects.wavix.notifier import WavixNotifier
from softswitch.dialects.wavix.rates import Rates
from softswitch.dialects.wavix.responses import transcribed
from softswitch.egress.http import EgressClient
from softswitch.egress.names import Names
from softswitch.files.opening import open_audio
from softswitch.legs.address_watch import AddressWatch
from softswitch.legs.local.echo_and_tone import local_dialers
from softswitch.legs.sip.destinations import Forwarded, Forwarding
from softswitch.legs.sip.dial_error import DialError
from softswitch.legs.sip.routing.request_filter import Shedding
from softswitch.legs.stream import StreamClients, StreamTerms
from softswitch.legs.telephones import Telephones
from softswitch.legs.webrtc.endpoints import WebRtcEndpoints
from softswitch.media.engine.engine import Engine
from softswitch.media.engine.interfaces import Denoiser
from softswitch.media.rtp.formats import OpusOptions
from softswitch.media.rtp.plane import RtpPlane
from softswitch.metrics import Metrics
from softswitch.settings import Settings, is_loopback
from softswitch.speech.provider import Providers
from softswitch.store.database_store import DatabaseStore
from softswitch.store.store import CallRecord
from softswitch.store.transcript import Transcript
from softswitch.switch.directory import CallDirectory
from softswitch.switch.incoming.incoming import Incoming
from softswitch.switch.machine import bounds, fill, share, this_machine
from softswitch.switch.memory import Memory
from softswitch.switch.notify.notifier import Notifier
from softswitch.switch.notify.webhook_sender import WebhookSender, WebhookTerms
from softswitch.switch.notify.webhooks import Webhooks
from softswitch.switch.pressure import Pressure
from softswitch.switch.queues.queues import Queues
from softswitch.switch.resources import Resources
from softswitch.switch.rooms.directory import RoomDirectory
from softswitch.switch.rooms.rooms import Rooms
from softswitch.switch.routes import Routes
from softswitch.switch.rules import Refuse, transfer
from softswitch.switch.switch import Switch
from softswitch.switch.transcripts.transcripts import Transcripts
from softswitch.switch.voicemail.voicemail import Voicemail
from softswitch.web.application import make_application
from softswitch.web.auth import Authenticator
from softswitch.web.call.line import LINES
from softswitch.web.hosts import Front
from softswitch.web.keys import (
    ADMINISTRATION,
    CALLS,
    CLUSTER,
    DRAIN,
    QUEUES,
    READINESS,
    RESOURCES,
    RETIRING,
    ROOMS,
    SETTINGS,
    SIP,
    SUPERVISOR,
    TRANSCRIPTS,
    VOICEMAIL,
    WARM,
    WEBHOOKS,
    WEBRTC,
)
from softswitch.web.malformed import MALFORMED
from softswitch.web.readiness import Readiness

TICK_AGE_S = 2.0
"""A media thread that has not begun a tick for so long, in seconds, while there is audio, is dead."""
DECODERS = 4
"""Threads that decode audio files. Decoding is work for the processor: more threads would not be faster."""


def build(
    settings: Settings,
    member: Membership | None = None,
    load: Callable[[], Settings] | None = None,
) -> web.Application:
    """Build the switch as an aiohttp application; its parts start and stop with it.

    Args:
        settings: All of them.
        member: What makes this process one of several; None: it is alone.
        load: Reads them again (SIGHUP, `POST /admin/reload`); None: they cannot be read again.
    """
    settings = _filled(settings, member)
    metrics = Metrics(__version__)
    names = Names()
    egress = _egress(settings, names)
    providers = Providers(settings.speech, egress)
    decoding = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
    engine, routes = _engine(settings, providers), Routes()
    webrtc = _webrtc(settings, engine, names)

    def take(call: IncomingCall) -> None:
        incoming(call)

    sip = member.sip_share() if member is not None else None
    telephones = (
        Telephones(settings, engine, take, routes.frames, names, sip) if settings.sip.enabled else None
    )
    streams = _streams(lambda: resources.settings, settings, egress)
    store = _store(settings, member)
    resources = Resources(
        settings=settings,
        engine=engine,
        routes=routes,
        providers=providers,
        store=store,
        egress=egress,
        metrics=metrics,
        open_audio=partial(open_audio, executor=decoding),
        dialers=local_dialers(engine, routes.frames),
        streams=streams,
        telephones=telephones,
        memory=Memory(bounds(settings.limits)),
    )
    resources.pressure = pressure = Pressure(engine.counters, enabled=settings.limits.overload)
    switch = Switch(resources)
    rooms, calls = Rooms(switch, webrtc, stored_options, refusal_phrase), CallDirectory(switch)
    queues = Queues(switch)
    sender = WebhookSender(egress, WebhookTerms.of(settings.webhook))
    voicemail = _voicemail(switch, sender, telephones, member)
    agents = Agents(settings, calls, engine, routes.frames)
    resources.dialers = {
        **resources.dialers,
        "room": rooms,
        "agent": agents,
        "queue": queues,
        "voicemail": voicemail,
    }
    resources.refuse_callee = lambda to, by: (
        rooms.refuse_callee(to, by)
        or agents.refuse_callee(to, by)
        or queues.refuse_callee(to, by)
        or voicemail.refuse_callee(to, by)
        or switch.supervisions.refuse_callee(to, by)
    )
    webhooks, incoming = _notifying(switch, sender)
    addresses = AddressWatch(settings, webrtc.addresses_changed)
    front = Front(settings.http, metrics)
    authenticator = Authenticator(settings.auth, metrics, front.hosts)
    _rule(telephones, resources, pressure, authenticator)
    app = make_application(
        authenticator,
        max_body=settings.limits.message_bytes,
        front=front,
        body_s=settings.limits.body_timeout_s,
        several=member is not None,
    )
    MALFORMED.install()
    app[SETTINGS], app[RESOURCES] = settings, resources
    app[SWITCH], app[CALLS] = switch, calls
    app[ADMINISTRATION] = administration(
        resources,
        telephones,
        authenticator,
        sender,
        member=member,
        load=(lambda: _filled(load(), member)) if load is not None else None,
    )
    app[ROOM_TABLE], app[ROOMS] = rooms, RoomDirectory(rooms)
    app[QUEUES], app[VOICEMAIL], app[LINES] = queues, voicemail, {}
    app.on_shutdown.append(close_rooms)
    app[WEBRTC], app[WARM], app[SIP], app[WEBHOOKS] = webrtc, webrtc.warm, telephones, webhooks
    app[READINESS] = _readiness(metrics, engine, switch, telephones, addresses)
    app[TRANSCRIPTS] = _transcribing(switch, webhooks)
    app[DRAIN] = lambda: None
    app[FAILED], app[CLUSTER], app[RETIRING], app[SUPERVISOR] = asyncio.Event(), None, asyncio.Event(), None
    if member is not None:
        app[SUPERVISOR] = member.link
        join(app, member, switch, rooms, telephones, engine)
    export(metrics, engine, resources, webrtc, telephones)
    metrics.register(
        lambda: [
            *of_services(names, rooms, streams, sender),
            *agents.figures(),
            *switch.supervisions.figures(),
            *queues.figures(),
            *voicemail.figures(),
        ]
    )
    app.cleanup_ctx.extend(
        (
            trace_calls(switch, sender),
            threads(decoding),
            running_parts(engine, webrtc, telephones, sender, agents, addresses),
        )
    )
    _attach_optional(app, settings, store, resources, member)
    return app


def _attach_optional(
    app: web.Application,
    settings: Settings,
    store: DatabaseStore,
    resources: Resources,
    member: Membership | None,
) -> None:
    """Attach the parts that run only where the settings ask for them."""
    attach_certificates(app, settings, resources.egress, resources.metrics)
    mails = attach_mails(app, app[VOICEMAIL], resources, alone=member is None)
    transcripts = app[TRANSCRIPTS]
    attach_uploads(
        app,
        settings,
        store,
        resources,
        is_shared=member is not None and member.link is not None,
        in_use=lambda call: transcripts.waits(call) or mails.waits(call),
    )


def _egress(settings: Settings, names: Names) -> EgressClient:
    return EgressClient(
        settings.egress.allow,
        max_bytes=settings.egress.max_bytes,
        timeout_s=settings.egress.timeout_s,
        ca_file=settings.egress.ca_file,
        resolve=names,
    )


def _webrtc(settings: Settings, engine: Engine, names: Names) -> WebRtcEndpoints:
    return WebRtcEndpoints(
        engine,
        settings.ice,
        loopback=is_loopback(settings.http.host),
        ports=(settings.rtp.port_min, settings.rtp.port_max),
        external_ips=settings.rtp.externals(),
        resolve=names,
    )


def _streams(present: Callable[[], Settings], settings: Settings, egress: EgressClient) -> StreamClients:
    """Return the client of streams; URLs that the present routes name are trusted."""

    def is_written(url: str) -> bool:
        return any(route.to.removeprefix("stream:") == url for route in present().route)

    return StreamClients(egress, StreamTerms(trusted=is_written), stream_dialects(settings))


def _filled(settings: Settings, member: Membership | None) -> Settings:
    """Return settings with limits in place of -1, and for one of several workers with its share of memory."""
    limits = fill(settings.limits, this_machine())
    if member is not None:
        limits = share(limits, member.workers)
    if member is not None:
        # The processes of speech are shared out, as they hold their models in memory.
        workers = -(-settings.speech.workers // member.workers)
        settings = msgspec.structs.replace(
            settings, speech=msgspec.structs.replace(settings.speech, workers=workers)
        )
    return msgspec.structs.replace(settings, limits=limits)


def _rule(
    telephones: Telephones | None, resources: Resources, pressure: Pressure, authenticator: Authenticator
) -> None:
    """Give telephones the control of overload, the rules for forwarding, and the check of tokens."""
    if telephones is not None:
        telephones.shed(Shedding(pressure.refuse, lambda: pressure.is_shedding, pressure.waited))
        telephones.forward_by(_forwarding(resources, telephones))
        telephones.take_tokens(authenticator.telephone)


def _forwarding(resources: Resources, telephones: Telephones) -> Forwarding:
    """Return the rules for the call forwarding of users' devices: those of a number that a user dials."""

    def forward(extension: str, caller: str) -> Forwarded:
        plan = transfer(resources.settings, extension, caller, telephones.registered)
        if isinstance(plan, Refuse):
            raise DialError(plan.code, f"redirection: the rules refuse {extension!r}: {plan.reason}")
        if (callee := known(plan.callee)) is not None and callee.reach != "telephone":
            raise DialError(403, f"redirection: {extension!r} is no telephone")
        return Forwarded(plan.callee, plan.trunk, plan.caller)

    return forward


def _notifying(switch: Switch, sender: WebhookSender) -> tuple[Webhooks, Incoming]:
    """Return the recipients of messages about calls, and what takes incoming calls and announces them."""
    wavix = WavixNotifier(Rates(switch.resources.settings.wavix.per_minute))
    webhooks = Webhooks(switch.resources, sender, wavix)
    switch.followers.append(webhooks.follow)
    notifiers: dict[str, Notifier] = {"rustpbx": RustpbxNotifier(), "wavix": wavix}
    notifier = notifiers[switch.resources.settings.webhook.format]
    return webhooks, Incoming(switch, sender, notifier, [webhooks])


def _transcribing(switch: Switch, webhooks: Webhooks) -> Transcripts:
    """Return what transcribes recordings of calls, and tells the accounts of each transcript."""

    def on_made(record: CallRecord, transcript: Transcript, url: str) -> None:
        webhooks.after_call(record, transcribed(record.id, transcript.status), url)

    transcripts = Transcripts(switch.resources, on_made)
    switch.records.transcribe = transcripts.ended
    return transcripts


def _voicemail(
    switch: Switch, sender: WebhookSender, telephones: Telephones | None, member: Membership | None
) -> Voicemail:
    """Return the mailboxes, whose changes are told to the phones of users, here and in other processes."""
    voicemail = Voicemail(switch, sender)
    if telephones is not None:
        voicemail.tell = telephones.tell_messages
        telephones.count_messages_by(voicemail.mailboxes.count)
    if member is not None:
        voicemail.on_changed = follow(member, "mailbox", voicemail.told)
    return voicemail


def _readiness(
    metrics: Metrics, engine: Engine, switch: Switch, telephones: Telephones | None, addresses: AddressWatch
) -> Readiness:
    """Say what has to hold for the switch to be ready for calls."""
    readiness = Readiness(metrics)
    store, pressure = switch.resources.store, switch.resources.pressure
    readiness.check("media", lambda: engine.tick_age_s() < TICK_AGE_S, vital=True)
    readiness.check("store", lambda: store.healthy)
    readiness.probe("store", store.probe)
    readiness.check("draining", lambda: not switch.draining)
    readiness.check("overload", lambda: not pressure.is_shedding)
    readiness.check("addresses", addresses.reachable)
    readiness.warn(addresses.warnings)
    if telephones is not None:
        readiness.check("trunks", telephones.has_required_trunk)
        readiness.warn(telephones.troubles)
    return readiness


def _store(settings: Settings, member: Membership | None) -> DatabaseStore:
    make: Callable[..., DatabaseStore] = DatabaseStore
    if settings.store.postgres:
        # Its driver takes 3 MB of memory.
        from softswitch.store.postgres import postgres_store  # noqa: PLC0415

        make = partial(postgres_store, url=settings.store.postgres)
    return make(
        settings.paths.root(),
        recordings=settings.recording.folder,
        quota_bytes=settings.recording.quota_mb * 1_000_000,
        retention_days=settings.recording.retention_days,
        dump_bytes=settings.limits.dump_bytes,
        spool_bytes=settings.store.spool_mb * 1_000_000,
        node=member.bus.node if member is not None else "",
        is_shared=member is not None and member.link is not None,
        is_cluster=member is not None and bool(member.address),
        uploads=bool(settings.upload.endpoint),
        removes=bool(settings.upload.endpoint) and settings.upload.delete_objects,
        keeps_files=not (settings.upload.endpoint and settings.upload.delete_local),
    )


def _denoiser() -> Denoiser:
    """Return the noise suppression of a port."""
    from softswitch.speech.denoise import Denoiser as Suppression  # noqa: PLC0415  (PyAV takes 16 MB)

    return Suppression()


def _engine(settings: Settings, providers: Providers) -> Engine:
    opus = OpusOptions(settings.media.opus_bitrate, settings.media.opus_complexity)
    return Engine(vads=providers.vads(), denoiser=_denoiser, plane=RtpPlane(opus=opus))
