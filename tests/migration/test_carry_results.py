"""What 4.5.0 made of older records, a version at a time and in place, one SELECT makes of them now, to the bit."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from llm_metrics_proxy.migration.reading import fitted, is_time
from llm_metrics_proxy.migration.timestamps import normalise
from llm_metrics_proxy.safe_migrations import MIGRATIONS
from tests.migration import generated
from tests.migration.carrying import carried

FIXTURES = Path(__file__).parents[1] / "fixtures"
FROZEN = json.loads(gzip.decompress((FIXTURES / "results_of_4_5_0.json.gz").read_bytes()))
# those of an older layout
GOLDEN = sorted(path.name for path in (FIXTURES / "databases").glob("*.db") if int(path.stem[0]) < 5)


def database(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "metrics.db"
    if name in generated.LAYOUTS:
        return generated.make(path, name)
    return Path(shutil.copy(FIXTURES / "databases" / name, path))


def decoded(value: Any) -> Any:
    if isinstance(value, dict):
        return float.fromhex(value["r"]) if "r" in value else bytes.fromhex(value["b"])
    return value


def in_our_table(values: dict[str, Any]) -> dict[str, Any]:
    """A time is normal or missing, also where a record's stamp said that it was normal already."""
    time = values["timestamp"]
    if time is not None and not is_time(time):
        values["timestamp"] = normalise(time) if is_time(normalise(time)) else None
        values["timestamp_original"] = values["timestamp_original"] or time
    return {column: fitted(column, value, "utf-8")[0] for column, value in values.items()}


@pytest.mark.parametrize("name", list(FROZEN["databases"]))
@pytest.mark.parametrize("thorough", [False, True])
def test_calculated_values_are_those_of_4_5_0(tmp_path: Path, name: str, thorough: bool) -> None:
    expected = {int(number): values for number, values in FROZEN["databases"][name].items()}
    with carried(database(tmp_path, name), thorough=thorough) as now:
        rows = now.rows()
        assert rows.keys() == expected.keys()
        for number, values in expected.items():
            frozen = dict(zip(FROZEN["columns"], map(decoded, values), strict=True))
            for column, should in in_our_table(frozen).items():
                is_ = rows[number][column]
                assert is_ == should, (number, column)
                assert not column.endswith("_original") or type(is_) is type(should)
        assert {row["app_version"] for row in rows.values()} == {MIGRATIONS[-1].version}
        assert now.faults() == []


@pytest.mark.parametrize("name", [*GOLDEN, *generated.LAYOUTS])
def test_both_statements_say_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / "quick").mkdir()
    with carried(database(tmp_path / "quick", name), batch=4) as one:
        quick = one.rows()
        assert one.faults() == []
    with carried(database(tmp_path, name), thorough=True) as other:
        assert other.rows() == quick
        assert other.faults() == []


@pytest.mark.parametrize("name", [name for name in GOLDEN if name[0] in "34"])
def test_tables_of_this_program_need_the_quick_statement_alone(tmp_path: Path, name: str) -> None:
    with carried(database(tmp_path, name)) as now:
        assert now.fitted
        assert all(row["unfit_values"] is None for row in now.rows().values())
