"""Faults come at the rate that was asked for, and every one of them is a known name."""

from collections import Counter
from random import Random

import pytest

from llm_metrics_proxy.demo import faults


def test_faults_come_at_their_rate_and_a_stall_only_on_demand() -> None:
    random = Random(1)
    drawn = Counter(faults.draw(random, 0.2) for _ in range(5000))
    assert set(drawn) <= set(faults.NAMES) - {faults.STALL}
    assert 1 - drawn[faults.NO_FAULT] / 5000 == pytest.approx(0.2, abs=0.02)
    assert drawn["429"] > drawn[faults.SLOW_START] > 0


def test_rate_zero_means_never() -> None:
    random = Random(1)
    assert {faults.draw(random, 0.0) for _ in range(1000)} == {faults.NO_FAULT}


def test_the_name_of_an_answer_is_its_status() -> None:
    assert all(name == str(answer.status) for name, answer in faults.ANSWERS.items())
