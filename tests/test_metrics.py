import subprocess
import threading
from urllib.request import urlopen

import pytest

from softswitch.metrics import CONTENT_TYPE, Metrics, Reading, readings, reason_label
from tests.conftest import require_tool
from tests.support.switch import SwitchThread


def test_metrics_render_prefix_version_and_units():
    metrics = Metrics("1.2.3")
    metrics.calls_started.labels("websocket").inc()
    metrics.call_seconds.labels("websocket").observe(3)
    text = metrics.render().decode()
    assert 'softswitch_info{version="1.2.3"} 1.0' in text
    assert 'softswitch_calls_started_total{type="websocket"} 1.0' in text
    assert 'softswitch_call_seconds_bucket{le="5.0",type="websocket"} 1.0' in text
    assert "process_open_fds" in text
    assert CONTENT_TYPE.startswith("text/plain")


def test_two_switches_count_apart():
    one, two = Metrics(), Metrics()
    one.count_event("answer")
    assert one.value("softswitch_events_total", event="answer") == 1
    assert two.value("softswitch_events_total", event="answer") == 0


def test_registered_numbers_are_read_at_each_scrape_until_removed():
    metrics = Metrics()
    numbers = {"packets_received": 1}
    remove = metrics.register(lambda: readings("rtp", numbers))
    numbers["packets_received"] = 7
    assert metrics.value("softswitch_rtp_packets_received_total") == 7
    remove()
    assert b"rtp_packets_received" not in metrics.render()


def test_readings_of_one_name_from_several_sources_are_one_family():
    metrics = Metrics()
    for place in ("call", "webrtc"):
        found = [Reading("ports", 2, "gauge", (("place", place),))]
        metrics.register(found.copy)
    text = metrics.render().decode()
    assert text.count("# TYPE softswitch_ports gauge") == 1
    assert 'softswitch_ports{place="call"} 2.0' in text
    assert 'softswitch_ports{place="webrtc"} 2.0' in text


def test_histograms_of_a_floor_are_exported():
    metrics = Metrics()
    buckets = ((0.001, 3), (float("inf"), 4))
    metrics.register(lambda: [Reading("tick_seconds", 0.02, "histogram", buckets=buckets)])
    assert metrics.value("softswitch_tick_seconds_count") == 4
    assert metrics.value("softswitch_tick_seconds_bucket", le="0.001") == 3
    assert metrics.value("softswitch_tick_seconds_sum") == pytest.approx(0.02)


def test_measurements_of_speech_are_kept_by_stage_and_provider():
    metrics = Metrics()
    metrics.measure("ttfb.tts.builtin", 0.03)
    labels = {"stage": "ttfb.tts", "provider": "builtin"}
    assert metrics.value("softswitch_speech_seconds_count", **labels) == 1
    assert metrics.value("softswitch_speech_seconds_sum", **labels) == pytest.approx(0.03)


def test_source_that_breaks_is_counted_and_hides_no_other():
    metrics = Metrics()

    def broken() -> list[Reading]:
        raise RuntimeError("no numbers")

    metrics.register(broken)
    metrics.register(lambda: [Reading("legs", 3, "gauge")])
    assert metrics.value("softswitch_legs") == 3
    assert metrics.value("softswitch_source_errors_total") > 0


def test_counting_from_several_threads_loses_nothing():
    metrics = Metrics()
    counter = metrics.commands.labels("tts")

    def count() -> None:
        for _ in range(1000):
            counter.inc()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.value("softswitch_commands_total", command="tts") == 4000


@pytest.mark.parametrize(
    ("reason", "label"), [("caller", "caller"), ("because I can", "other"), ("", "other")]
)
def test_reasons_of_clients_do_not_become_labels(reason, label):
    assert reason_label(reason) == label


def test_prometheus_finds_nothing_to_mend(tmp_path):
    promtool = require_tool("promtool")
    with SwitchThread(tmp_path) as switch, urlopen(switch.url("/metrics")) as response:
        text = response.read()
    assert text.count(b"# TYPE softswitch_") > 50
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_events_are_counted_by_their_name() -> None:
    metrics = Metrics()
    for name in ("Answer", "HungUp", "Answer"):
        metrics.count_event(name)
    assert metrics.value("softswitch_events_total", event="Answer") == 2.0
    assert metrics.value("softswitch_events_total", event="HungUp") == 1.0
    assert 'softswitch_events_created{event="Answer"} ' in metrics.render().decode()
