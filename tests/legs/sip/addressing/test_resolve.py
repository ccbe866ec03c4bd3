"""Resolution of SIP servers, with a fake DNS."""

from collections import Counter
from random import Random

import pytest

from softswitch.egress.hosts import HostsFile
from softswitch.egress.lookup import Addresses, ServiceRecord, Services
from softswitch.egress.names import Asker
from softswitch.legs.sip.addressing.resolve import MAX_NAMES, Resolver, Target, UnresolvedError
from softswitch.settings.telephones import parse_server


class Zone:
    """Answer from two dictionaries, and count the questions."""

    def __init__(self, addresses=None, services=None, ttl_s=60.0) -> None:
        self.known = addresses or {}
        self.offered = services or {}
        self.ttl_s = ttl_s
        self.asked: Counter[str] = Counter()
        self.dead = False

    async def addresses(self, name: str, asker: Asker) -> Addresses:
        self._ask(name)
        return Addresses(self.known[name], self.ttl_s) if name in self.known else Addresses(())

    async def services(self, name: str, asker: Asker) -> Services:
        self._ask(name)
        return Services(self.offered[name], self.ttl_s) if name in self.offered else Services(())

    def _ask(self, name: str) -> None:
        self.asked[name] += 1
        if self.dead:
            raise UnresolvedError(f"{name}: DNS gives no answer")


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def make(tmp_path, now):
    def resolver(zone: Zone, hosts: str = "") -> Resolver:
        path = tmp_path / "hosts"
        path.write_text(hosts)
        return Resolver(zone, HostsFile(path), clock=lambda: now[0], random=Random(1))

    return resolver


async def found(resolver: Resolver, server: str) -> list[tuple[str, str, int]]:
    return [
        (target.transport, target.host, target.port)
        for target in await resolver.resolve(parse_server(server))
    ]


@pytest.mark.parametrize(
    ("server", "target"),
    [
        ("192.0.2.1", ("udp", "192.0.2.1", 5060)),
        ("192.0.2.1:5080", ("udp", "192.0.2.1", 5080)),
        ("192.0.2.1;transport=tls", ("tls", "192.0.2.1", 5061)),
        ("[2001:db8::1]:5070;transport=tcp", ("tcp", "2001:db8::1", 5070)),
    ],
)
async def test_address_needs_no_question(make, server, target):
    zone = Zone()
    assert await found(make(zone), server) == [target]
    assert not zone.asked


async def test_name_of_the_hosts_file_needs_no_question(make):
    zone = Zone()
    resolver = make(zone, "# mine\n127.0.0.5 pbx.test Kamailio # here\n::1 pbx.test\nnonsense pbx.test\n")
    assert await found(resolver, "pbx.test") == [("udp", "127.0.0.5", 5060), ("udp", "::1", 5060)]
    assert await found(resolver, "kamailio:5099") == [("udp", "127.0.0.5", 5099)]
    assert not zone.asked


async def test_services_are_tried_by_priority(make):
    zone = Zone(
        {"a.test": ("192.0.2.1",), "b.test": ("192.0.2.2", "2001:db8::2")},
        {
            "_sip._udp.pbx.test": (
                ServiceRecord(20, 1, 5062, "b.test"),
                ServiceRecord(10, 1, 5061, "a.test"),
            )
        },
    )
    assert await found(make(zone), "pbx.test") == [
        ("udp", "192.0.2.1", 5061),
        ("udp", "192.0.2.2", 5062),
        ("udp", "2001:db8::2", 5062),
    ]


async def test_services_of_one_priority_are_tried_by_weight(make):
    records = tuple(ServiceRecord(1, weight, 5060 + weight, "192.0.2.1") for weight in (0, 10, 90))
    resolver = make(Zone({}, {"_sip._udp.pbx.test": records}))
    first = Counter([(await found(resolver, "pbx.test"))[0][2] for _ in range(500)])
    assert first[5150] > first[5070] > first[5060]


async def test_service_of_tcp_is_taken_where_udp_has_none(make):
    zone = Zone({}, {"_sip._tcp.pbx.test": (ServiceRecord(1, 1, 5060, "192.0.2.3"),)})
    assert await found(make(zone), "pbx.test") == [("tcp", "192.0.2.3", 5060)]
    assert await found(make(Zone({"pbx.test": ("192.0.2.4",)})), "pbx.test;transport=tls") == [
        ("tls", "192.0.2.4", 5061)
    ]


async def test_name_with_a_port_has_no_services(make):
    zone = Zone({"pbx.test": ("192.0.2.1",)}, {"_sip._udp.pbx.test": (ServiceRecord(1, 1, 1, "192.0.2.9"),)})
    assert await found(make(zone), "pbx.test:5070") == [("udp", "192.0.2.1", 5070)]


async def test_answers_are_good_for_as_long_as_dns_says(make, now):
    zone = Zone({"pbx.test": ("192.0.2.1",)}, ttl_s=60)
    resolver = make(zone)
    for _ in range(3):
        await found(resolver, "pbx.test:5060")
    assert zone.asked["pbx.test"] == 1
    now[0] += 61
    zone.known["pbx.test"] = ("192.0.2.2",)
    assert await found(resolver, "pbx.test:5060") == [("udp", "192.0.2.2", 5060)]


async def test_name_without_addresses_is_told_and_soon_asked_again(make, now):
    zone = Zone()
    resolver = make(zone)
    for _ in range(2):
        with pytest.raises(UnresolvedError, match=r"pbx\.test"):
            await found(resolver, "pbx.test:5060")
    assert zone.asked["pbx.test"] == 1
    now[0] += 11
    zone.known["pbx.test"] = ("192.0.2.1",)
    assert await found(resolver, "pbx.test:5060")


async def test_names_remembered_are_bounded(make):
    zone = Zone({f"h{number}": ("192.0.2.1",) for number in range(MAX_NAMES + 10)})
    resolver = make(zone)
    for number in range(MAX_NAMES + 10):
        await found(resolver, f"h{number}:5060")
    assert len(resolver._addresses) == MAX_NAMES


async def test_servers_that_lead_nowhere_are_left_out_of_several(make):
    resolver = make(Zone({"b.test": ("192.0.2.2",)}))
    servers = [parse_server(text) for text in ("a.test:5060", "b.test:5060", "192.0.2.3")]
    assert await resolver.resolve_all(servers) == (
        Target("udp", "192.0.2.2", 5060, "b.test"),
        Target("udp", "192.0.2.3", 5060, "192.0.2.3"),
    )
    with pytest.raises(UnresolvedError, match=r"a\.test.*c\.test"):
        await resolver.resolve_all([parse_server("a.test:1"), parse_server("c.test:1")])


async def test_silent_dns_is_told(make):
    zone = Zone()
    zone.dead = True
    with pytest.raises(UnresolvedError, match="no answer"):
        await found(make(zone), "pbx.test:5060")
