from llm_metrics_proxy.rollups.state import FINGERPRINT, NOTHING, RollupState


def test_of_no_row_it_is_that_of_a_fresh_file() -> None:
    state = RollupState.of([])
    assert (state.cursor_id, state.epoch, state.is_current) == (NOTHING, 0, False)


def test_a_row_is_read() -> None:
    state = RollupState.of([("t", 5, 1, 1, 86_400, 4)])
    assert state == RollupState(tables="t", cursor_id=5, epoch=1, clearing=True, kept_before=86_400, kept_through_id=4)


def test_it_is_current_if_this_program_s_tables_made_it_and_nothing_is_left_to_clear() -> None:
    assert RollupState(tables=FINGERPRINT).is_current
    assert not RollupState(tables=FINGERPRINT, clearing=True).is_current
    assert not RollupState(tables="others").is_current


def test_records_that_5_1_0_rolled_up_are_not_rolled_up_again() -> None:
    """Change this on purpose alone: with other tables, or another name of theirs, every database begins anew."""
    assert FINGERPRINT == "b0f3ff37a0b239ca"
