"""Home's figures: what the parser of Prometheus reads, what is absent, and who may ask."""

import http.client
import socket
import threading
from pathlib import Path

import pytest

from exclave.errors import ConfigurationError
from exclave.exposition import CONTENT_TYPE, Family, Sample, exposition, gauge
from exclave.signals.alerter import TargetState
from exclave.signals.listener import MetricsListener
from exclave.wiring.check_results import CheckResult
from exclave.wiring.files import FileUnusable
from exclave.wiring.home_metrics import home_families, write_metrics
from tests.support.figures import Figures, figures, label_names
from tests.support.overviews import DAY, HOUR, MOMENT, everything

CHECKS = [
    CheckResult(what="a", good=True),
    CheckResult(what="b", good=True, warns=True),
    CheckResult(what="c", good=False),
]


@pytest.fixture(scope="module")
def found() -> Figures:
    targets = [TargetState(name="mail", failures=3)]
    return figures(exposition(home_families(everything(), MOMENT, checks=CHECKS, targets=targets)))


def of(found: Figures, name: str) -> dict[str, float]:
    """Figures of a name with one label, by its value."""
    return {labels[0][1]: value for labels, value in found[f"exclave_{name}"].items()}


def test_registers(found: Figures) -> None:
    assert of(found, "register_rpo_seconds") == {"land": DAY, "births": DAY, "wills": DAY}
    assert of(found, "register_deposited") == {"land": 1, "births": 1, "wills": 0}
    assert of(found, "register_age_seconds") == {"land": 2 * HOUR, "births": 2 * HOUR}
    assert of(found, "register_seats_holding") == {"land": 3, "births": 3, "wills": 0}
    assert of(found, "register_reconstructible") == {"land": 1, "births": 1, "wills": 0}
    stamp = MOMENT.timestamp()
    assert of(found, "register_last_deposit_timestamp_seconds")["land"] == stamp - 2 * HOUR


def test_proofs_and_drills_that_never_were_are_absent(found: Figures) -> None:
    assert of(found, "register_last_proof_passed") == {"land": 1, "births": 0}
    assert of(found, "register_last_drill_passed") == {"land": 1, "births": 0}
    assert of(found, "register_last_drill_rto_seconds") == {"land": 5400}
    stamp = MOMENT.timestamp() - 3 * DAY
    assert of(found, "register_last_proof_timestamp_seconds") == {"land": stamp}
    assert of(found, "register_last_drill_timestamp_seconds") == {"land": stamp, "births": stamp}


def test_seats(found: Figures) -> None:
    assert of(found, "seat_up") == {"1": 1, "2": 1, "3": 0}
    assert of(found, "seat_witness_lag_seconds") == {"1": 40, "2": 40}
    assert of(found, "seat_spool_bytes") == {"1": 0, "2": 0, "3": 500, "4": 0}
    assert found["exclave_seat_alarm"] == {(("cause", "deposits-silent"), ("seat", "2")): 1}
    assert of(found, "last_deposit_sent_bytes") == {"1": 30, "2": 30}
    assert found["exclave_last_deposit_duration_seconds"] == {(): 90.5}
    assert of(found, "check_results") == {"good": 1, "warns": 1, "bad": 1, "unknown": 0}
    assert of(found, "alert_target_failures") == {"mail": 3}


def test_bags(found: Figures) -> None:
    stamp = MOMENT.timestamp()
    assert of(found, "seat_newest_bag_timestamp_seconds") == {"4": stamp - 12 * DAY}
    assert of(found, "seat_newest_bag_limit_seconds") == {"4": 90 * DAY}
    assert of(found, "seat_bags_read_timestamp_seconds") == {"4": stamp - 10 * DAY}
    assert (of(found, "seat_bags_kept"), of(found, "seat_bags_under_way")) == ({"4": 1}, {"4": 1})
    assert found["exclave_seat_bag_trouble"] == {(("cause", "opened"), ("seat", "4")): 1}


def test_titles_stay_at_home_in_status(found: Figures) -> None:
    """Figures travel further than a terminal does: ids are enough for them."""
    assert label_names(found) == {
        "register", "seat", "state", "vault", "cause", "severity", "target", "version",
    }  # fmt: skip
    assert "Land register" not in exposition(home_families(everything(), MOMENT))


def test_a_label_is_written_so_that_it_is_read_again() -> None:
    odd = 'a "quoted"\\ name\nof two lines'
    text = exposition([gauge("exclave_odd", "Help\nof two lines.", ({"vault": odd}, 1.5))])
    assert figures(text) == {"exclave_odd": {(("vault", odd),): 1.5}}
    assert exposition([gauge("exclave_none", "Nothing known.", ({}, None))]) == ""


@pytest.mark.parametrize(
    ("name", "kind", "label"),
    [
        ("deposits", "gauge", "seat"),
        ("exclave_x_total", "gauge", "seat"),
        ("exclave_x", "counter", "seat"),
        ("exclave_X", "gauge", "seat"),
        ("exclave_x", "gauge", "Seat-1"),
    ],
)
def test_names_keep_the_conventions(name: str, kind: str, label: str) -> None:
    with pytest.raises(ValueError, match="metric"):
        Family(name=name, kind=kind, help="", samples=(Sample(labels={label: "x"}, value=1),))  # type: ignore[arg-type]


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "exclave.prom"
    path.write_text("old")
    write_metrics(path, list(home_families(everything(), MOMENT)))
    assert figures(path.read_text())["exclave_spool_bytes"] == {(): 500}
    assert path.stat().st_mode & 0o777 == 0o644
    assert [item.name for item in tmp_path.iterdir()] == ["exclave.prom"]
    with pytest.raises(FileUnusable, match="expected an existing folder, got none"):
        write_metrics(tmp_path / "nowhere" / "x.prom", [])


def ask(listener: MetricsListener, path: str = "/metrics") -> tuple[int, str | None, str]:
    line = http.client.HTTPConnection(listener.address.host, listener.address.port, timeout=60)
    try:
        line.request("GET", path)
        answer = line.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
    finally:
        line.close()


def test_the_listener_shows_what_it_is_given_and_nothing_else() -> None:
    texts = iter(["exclave_a 1\n", "exclave_a 2\n"])
    listener = MetricsListener("127.0.0.1:0", lambda: next(texts))
    try:
        assert ask(listener) == (200, CONTENT_TYPE, "exclave_a 1\n")
        assert ask(listener, "/")[0] == 404
        assert ask(listener)[2] == "exclave_a 2\n"
        assert ask(listener)[0] == 503  # what fails ends nothing
        assert ask(listener)[0] == 503
    finally:
        listener.close()


def test_who_holds_lines_open_keeps_nobody_out_for_long() -> None:
    """More than are served at once: the others are turned away, and the listener goes on."""
    gate = threading.Event()

    def slow() -> str:
        gate.wait(60)
        return "exclave_a 1\n"

    listener = MetricsListener("127.0.0.1:0", slow)
    threads = [threading.Thread(target=_ask_or_not, args=(listener,)) for _ in range(20)]
    try:
        for thread in threads:
            thread.start()
        gate.set()
        for thread in threads:
            thread.join()
        assert ask(listener)[0] == 200
    finally:
        listener.close()


def _ask_or_not(listener: MetricsListener) -> None:
    try:
        ask(listener)
    except (OSError, http.client.HTTPException):
        return


@pytest.mark.parametrize("address", ["0.0.0.0:0", "10.0.0.5:9000", "[::]:0"])
def test_an_address_that_others_reach_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="metrics: expected a loopback address, got"):
        MetricsListener(address, str)


def test_an_address_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=f"metrics {address}: cannot be bound"):
            MetricsListener(address, str)
