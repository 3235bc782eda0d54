from pathlib import Path

import pytest

from tests.clickhouse.kills import run


@pytest.mark.system
@pytest.mark.parametrize("seed", [1])
def test_kills_lose_and_double_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """A short one of the runs that ``python -m tests.clickhouse.kills`` makes; half a minute."""
    folder: Path = tmp_path_factory.mktemp("kills")
    found = run(folder, seed, records=12_000, kills=10, pause_s=1.5)
    assert found.is_exact, found
    assert found.kills_of_server, found
    assert found.kills_of_shippers, found
