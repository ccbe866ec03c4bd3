"""Entry of the supervisor process."""

import asyncio

from softswitch.egress.loops import SelectorLoop, uvloop_factory
from softswitch.settings import Settings
from softswitch.supervisor.supervisor import Notify, Supervisor
from softswitch.tls.folder import prepare_certificates


def run(settings: Settings, notify: Notify = lambda *states: None, *, watchdog_s: float = 0.0) -> None:
    """Run the workers until told to end; the first SIGTERM lets running calls finish, the second does not.

    Args:
        settings: All of them.
        notify: Tells the service manager states such as READY=1.
        watchdog_s: It wants WATCHDOG=1 at least so often, seconds; 0: not at all.

    Raises:
        SettingsError: The settings are invalid, or an address cannot be listened on.
        UnavailableError: The data folder is in use, or no worker starts.
    """
    settings.check_bind()
    prepare_certificates(settings)
    try:
        factory = SelectorLoop if settings.http.loop == "asyncio" else uvloop_factory()
    except ImportError:
        factory = SelectorLoop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(Supervisor(settings, notify, watchdog_s).run())
