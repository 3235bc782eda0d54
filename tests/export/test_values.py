from llm_metrics_proxy.export.values import flags, texts


def test_flags_are_stored_as_numbers() -> None:
    assert flags([1, 0, None]) == [True, False, None]


def test_a_column_of_any_kind_is_text_and_loses_nothing() -> None:
    assert texts(["a", None, 5, b"\x00", 2.5]) == ["a", None, "5", "X'00'", "2.5"]
