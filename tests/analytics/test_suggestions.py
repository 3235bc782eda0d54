from llm_metrics_proxy.analytics.suggestions import unknown


def test_a_slip_is_answered_with_what_comes_close() -> None:
    assert unknown("fruit", "aple", ["apple", "pear"]) == "there is no fruit 'aple'; did you mean apple?"
    assert unknown("fruit", "Pear", ["apple", "pear"]) == "there is no fruit 'Pear'; did you mean pear?"


def test_what_comes_close_to_nothing_is_answered_with_all_there_is() -> None:
    assert unknown("fruit", "stone", ["apple", "pear"]) == "there is no fruit 'stone'; there are: apple, pear"


def test_a_long_name_is_cut() -> None:
    assert len(unknown("fruit", "x" * 10_000, ["apple"])) < 150
