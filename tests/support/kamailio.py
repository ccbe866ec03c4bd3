"""kamailio as a provider: a registrar with digest, and a proxy between those who registered."""

import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.conftest import require_tool
from tests.support.ports import free_port

START_S = 60.0

CONFIG = """\
#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=2
tcp_children=2
disable_tcp=no
auto_aliases=no
alias="{domain}"
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib/aarch64-linux-gnu/kamailio/modules/"
loadmodule "kex.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", {expires})
modparam("registrar", "min_expires", {least})
modparam("auth", "nonce_count", 1)
modparam("auth", "qop", "auth")
modparam("rr", "enable_full_lr", 1)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{
        sl_send_reply("483", "Too Many Hops");
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            t_relay();
        }} else if (is_method("ACK")) {{
            if (t_check_trans()) t_relay();
        }} else {{
            sl_send_reply("404", "Not here");
        }}
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{domain}", "{password}", "0")) {{
            auth_challenge("{domain}", "1");
            exit;
        }}
        save("location");
        exit;
    }}
    if (is_method("INVITE|MESSAGE")) {{
        if (!pv_proxy_authenticate("{domain}", "{password}", "0")) {{
            proxy_challenge("{domain}", "1");
            exit;
        }}
        consume_credentials();
        record_route();
    }}
    if (is_method("OPTIONS")) {{
        sl_send_reply("200", "OK");
        exit;
    }}
    if (!lookup("location")) {{
        sl_send_reply("404", "No user of that name");
        exit;
    }}
    t_relay();
}}
"""


class Kamailio:
    """A provider on loopback: every phone that knows the password may register and call."""

    password = "provider-secret"
    domain = "provider.example"

    def __init__(
        self, folder: Path, *, host: str = "127.0.0.1", expires: int = 60, least_expires: int = 10
    ) -> None:
        """Prepare one.

        Args:
            folder: Of its own, need not exist.
            host: Loopback address it binds.
            expires: Longest registration it grants, in seconds.
            least_expires: Shortest one it takes (423 below it).
        """
        self.host = host
        self.port = free_port(host)
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "kamailio.cfg").write_text(
            CONFIG.format(
                host=host,
                port=self.port,
                domain=self.domain,
                password=self.password,
                expires=expires,
                least=least_expires,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start, and wait until it answers."""
        command = [
            require_tool("kamailio"),
            *("-f", str(self._folder / "kamailio.cfg")),
            *("-Y", str(self._folder), "-m", "64", "-M", "8", "-DD", "-E"),
        ]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def log(self) -> str:
        """Return what it wrote."""
        return (self._folder / "log").read_text(errors="replace")

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((self.host, 0))
            probe.settimeout(0.3)
            own = f"{self.host}:{probe.getsockname()[1]}"
            lines = (
                f"OPTIONS sip:{self.host}:{self.port} SIP/2.0",
                f"Via: SIP/2.0/UDP {own};branch=z9hG4bKprobe",
                f"From: <sip:probe@{own}>;tag=1",
                f"To: <sip:{self.host}:{self.port}>",
                f"Call-ID: probe@{own}",
                "CSeq: 1 OPTIONS",
                "Max-Forwards: 5",
                "Content-Length: 0",
            )
            probe.sendto("".join(f"{line}\r\n" for line in (*lines, "")).encode(), (self.host, self.port))
            try:
                return probe.recv(2000).startswith(b"SIP/2.0 200")
            except OSError:
                return False
