"""The threads that watch, on a real database and with real receivers."""

import time
from typing import Any

import apsw
import pytest

from llm_metrics_proxy.storage.alert_store import AlertStore
from llm_metrics_proxy.watch import watcher as watcher_module
from llm_metrics_proxy.watch import webhook
from llm_metrics_proxy.watch.evaluation import measure_alert, measure_slo
from llm_metrics_proxy.watch.rules import AlertRule, SloRule
from llm_metrics_proxy.watch.states import AlertPhase
from llm_metrics_proxy.watch.watcher import Rules, Watcher
from tests.waiting import wait_until
from tests.watch.conftest import BEGAN, Site
from tests.watch.test_rules import a_rule
from tests.watch.test_webhook import Receiver

LIMIT_S = 60.0


class Desk:
    """A watcher whose steps the test takes itself."""

    def __init__(self, site: Site, *alerts: AlertRule, post: Any = webhook.post) -> None:
        self.site = site
        self.memory = AlertStore(site.path)
        self.watcher = Watcher(
            site.records, lambda: self.memory, Rules((), alerts), clock=site.clock, post=post, interval_s=1
        )

    def look(self, now: float) -> str:
        """Measure every alert at this second, and tell; the phase of the first."""
        self.site.now = now
        for rule in self.watcher._rules.alerts:
            self.watcher.watch_alert(rule, self.memory)
        self.watcher.deliver(self.memory)
        return self.watcher.alerts()[0].phase

    def waiting(self) -> list[str]:
        return [each.event_id for each in self.memory.deliveries()]


def test_an_incident_is_told_when_it_fires_and_when_it_is_resolved(site: Site) -> None:
    with Receiver(200).running() as receiver:
        desk = Desk(site, a_rule(for_s=10, resolve_s=10, webhook=receiver.url))
        site.add(1, good=False)
        assert [desk.look(now) for now in (2, 8, 13)] == [AlertPhase.PENDING, AlertPhase.PENDING, AlertPhase.FIRING]
        assert [desk.look(now) for now in (30, 100, 105, 111)] == [
            AlertPhase.FIRING,
            AlertPhase.FIRING,
            AlertPhase.FIRING,
            AlertPhase.OK,
        ]
        desk.memory.close()
    incident = "2026-03-01T12:00:13.000Z"
    assert [(each["state"], each["incident"], each["value"], each["n"]) for each in receiver.got] == [
        ("firing", incident, 1.0, 1),
        ("resolved", incident, None, 0),
    ]
    assert receiver.keys == [each["id"] for each in receiver.got] == [f"a/{incident}/firing", f"a/{incident}/resolved"]


def test_a_restart_neither_forgets_an_incident_nor_tells_of_it_again(site: Site) -> None:
    with Receiver(200).running() as receiver:
        rule = a_rule(webhook=receiver.url)
        site.add(1, good=False)
        first = Desk(site, rule)
        assert first.look(2) == AlertPhase.FIRING
        first.memory.close()
        second = Desk(site, rule)
        assert second.look(3) == AlertPhase.FIRING
        assert second.look(90) == AlertPhase.OK
        second.memory.close()
    assert [each["state"] for each in receiver.got] == ["firing", "resolved"]
    assert len({each["incident"] for each in receiver.got}) == 1


def test_killed_before_the_receiver_took_it_a_message_is_told_after_the_restart(site: Site) -> None:
    with Receiver(200).running() as receiver:
        rule = a_rule(webhook=receiver.url)
        site.add(1, good=False)
        first = Desk(site, rule, post=lambda *_: "no answer")
        first.look(2)
        assert receiver.got == []
        first.memory.close()
        second = Desk(site, rule)
        second.watcher.deliver(second.memory)
        assert [each["state"] for each in receiver.got] == ["firing"]
        assert second.waiting() == []
        second.memory.close()


def test_a_message_whose_answer_was_lost_comes_again_with_the_same_id(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "RETRY_FIRST_S", 0.0)
    with Receiver(500, 200).running() as receiver:
        site.add(1, good=False)
        desk = Desk(site, a_rule(webhook=receiver.url))
        desk.look(2)
        report = desk.watcher.alerts()[0]
        assert (report.waiting, report.last_delivery_error) == (1, "it answered with status 500")
        desk.watcher.deliver(desk.memory)
        assert desk.watcher.alerts()[0].waiting == 0
        desk.memory.close()
    assert len(receiver.got) == 2
    assert len(set(receiver.keys)) == 1


def test_a_dead_receiver_holds_up_no_other_and_is_asked_less_and_less(site: Site) -> None:
    asked: list[str] = []

    def post(url: str, body: str, event_id: str) -> str | None:
        del body, event_id
        asked.append(url)
        return "no answer" if "dead" in url else None

    dead, alive = a_rule(name="one", webhook="http://dead/"), a_rule(name="two", webhook="http://alive/")
    site.add(1, good=False)
    desk = Desk(site, dead, alive, post=post)
    for _ in range(5):
        desk.look(2)
    assert asked == ["http://dead/", "http://alive/"]  # within the pause the dead one is not asked again
    assert len(desk.waiting()) == 1
    desk.memory.close()


def test_after_a_day_nobody_waits_for_a_message_any_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "RETRY_FIRST_S", 0.0)
    site.add(1, good=False)
    desk = Desk(site, a_rule(webhook="http://dead/"), post=lambda *_: "no answer")
    desk.look(2)
    assert len(desk.waiting()) == 1
    site.now = 3 + webhook.GIVE_UP_S
    desk.watcher.deliver(desk.memory)
    assert desk.waiting() == []
    desk.memory.close()


def test_an_alert_without_a_webhook_is_only_shown(site: Site) -> None:
    site.add(1, good=False)
    desk = Desk(site, a_rule())
    assert desk.look(2) == AlertPhase.FIRING
    assert desk.waiting() == []
    desk.memory.close()


def test_what_is_to_be_told_of_a_rule_that_is_gone_is_told_to_nobody(site: Site) -> None:
    site.add(1, good=False)
    desk = Desk(site, a_rule(webhook="http://dead/"), post=lambda *_: "no answer")
    desk.look(2)
    desk.watcher.use(Rules((), (a_rule(name="other"),)))
    desk.look(3)
    assert desk.waiting() == []
    assert set(desk.memory.states()) == {"other"}
    desk.memory.close()


def test_a_database_in_trouble_changes_no_state_and_is_told(site: Site) -> None:
    site.add(1, good=False)
    desk = Desk(site, a_rule())
    holder = apsw.Connection(str(site.path))
    holder.execute("BEGIN IMMEDIATE")
    assert desk.look(2) == AlertPhase.OK
    assert "locked" in str(desk.watcher.alerts()[0].error)
    holder.execute("ROLLBACK")
    holder.close()
    assert desk.look(3) == AlertPhase.FIRING
    assert desk.watcher.alerts()[0].error is None
    desk.memory.close()


def test_no_address_is_ever_shown_or_stored(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    site.add(1, good=False)
    desk = Desk(site, a_rule(webhook="http://127.0.0.1:1/secret-path"))
    desk.look(2)
    assert desk.watcher.alerts()[0].webhook == "http://127.0.0.1/…"
    assert "secret-path" not in caplog.text
    desk.memory.close()
    site.close()
    assert b"secret-path" not in site.path.read_bytes()


def test_its_threads_measure_and_tell_by_themselves(site: Site) -> None:
    with Receiver(200).running() as receiver:
        slo = SloRule(name="answered", objective=0.9, window_s=3600)
        rules = Rules((slo,), (a_rule(webhook=receiver.url),))
        site.add(0, good=False)
        site.now = 5.0
        watcher = Watcher(site.records, lambda: AlertStore(site.path), rules, interval_s=0.1, clock=site.clock)
        assert watcher.slos()[0].measured_at is None
        watcher.start()
        try:
            wait_until(lambda: receiver.got)
            wait_until(lambda: watcher.slos()[0].good_ratio == 0.0)
            site.now = 120.0
            wait_until(lambda: len(receiver.got) == 2)
            watcher.use(Rules())
            assert (watcher.slos(), watcher.alerts()) == ([], [])
        finally:
            watcher.stop(LIMIT_S)
    assert [each["state"] for each in receiver.got] == ["firing", "resolved"]


def test_a_receiver_that_hangs_stops_neither_measuring_nor_the_end(site: Site) -> None:
    with Receiver(0).running() as receiver:
        site.add(0, good=False)
        site.now = 5.0
        rules = Rules((), (a_rule(webhook=receiver.url),))
        watcher = Watcher(site.records, lambda: AlertStore(site.path), rules, interval_s=0.1, clock=site.clock)
        watcher.start()
        wait_until(lambda: watcher.alerts()[0].phase == AlertPhase.FIRING)
        site.now = 120.0
        wait_until(lambda: watcher.alerts()[0].phase == AlertPhase.OK)
        began = time.monotonic()
        watcher.stop(0.2)
        assert time.monotonic() - began < LIMIT_S / 2
        receiver.gate.set()


def test_nothing_is_measured_before_the_database_is_ready(site: Site) -> None:
    ready: list[bool] = []
    site.add(0, good=False)
    site.now = 5.0
    watcher = Watcher(
        site.records, lambda: AlertStore(site.path), Rules((), (a_rule(),)), interval_s=0.1,
        ready=lambda: bool(ready), clock=site.clock,
    )  # fmt: skip
    watcher.start()
    try:
        assert watcher.alerts()[0].measured_at is None
        ready.append(True)
        wait_until(lambda: watcher.alerts()[0].phase == AlertPhase.FIRING)
    finally:
        watcher.stop(LIMIT_S)
    assert BEGAN.isoformat()[:10] in str(watcher.alerts()[0].since)


def test_a_bug_in_one_rule_keeps_no_other_from_being_watched(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def broken(measure: Any) -> Any:
        def measured(sources: Any, hours: Any, rule: Any, *others: Any) -> Any:
            return 1 / 0 if rule.name == "bad" else measure(sources, hours, rule, *others)

        return measured

    monkeypatch.setattr(watcher_module, "measure_alert", broken(measure_alert))
    monkeypatch.setattr(watcher_module, "measure_slo", broken(measure_slo))
    site.add(0, good=False)
    site.now = 5.0
    slos = tuple(SloRule(name=name, objective=0.9, window_s=3600) for name in ("bad", "good"))
    rules = Rules(slos, (a_rule(name="bad"), a_rule(name="good")))
    watcher = Watcher(site.records, lambda: AlertStore(site.path), rules, interval_s=0.1, clock=site.clock)
    watcher.start()
    try:
        wait_until(lambda: watcher.alerts()[1].phase == AlertPhase.FIRING)
        wait_until(lambda: watcher.slos()[1].good_ratio == 0.0)
    finally:
        watcher.stop(LIMIT_S)
    assert "a bug: ZeroDivisionError" in str(watcher.alerts()[0].error)
    assert "a bug: ZeroDivisionError" in str(watcher.slos()[0].error)
    assert [record.message for record in caplog.records].count("alert bad met a bug") == 1  # told once


def test_who_does_not_lead_shows_what_the_leader_found_and_tells_nobody(site: Site) -> None:
    with Receiver(200).running() as receiver:
        rule = a_rule(webhook=receiver.url)
        site.add(1, good=False)
        leader = Desk(site, rule)
        leads = False
        other = Watcher(
            site.records, lambda: leader.memory, Rules((), (rule,)), clock=site.clock, leads=lambda: leads, interval_s=1
        )
        assert leader.look(2) == AlertPhase.FIRING
        assert other.watch_alert(rule, leader.memory)
        assert other.alerts()[0].phase == AlertPhase.FIRING
        leads = True
        site.now = 90
        assert other.watch_alert(rule, leader.memory)
        assert other.alerts()[0].phase == AlertPhase.OK
        other.deliver(leader.memory)
        leader.memory.close()
    assert [each["state"] for each in receiver.got] == ["firing", "resolved"]
