"""What ``doctor --deep`` looks at for roll-ups: are they what the records say?"""

from contextlib import closing
from secrets import randbits
from typing import Final

import apsw

from llm_metrics_proxy.cli.elsewhere import store_elsewhere
from llm_metrics_proxy.cli.finding import Finding, failed, ok, warning
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.errors import LlmMetricsProxyError
from llm_metrics_proxy.migration.legacy import FileKind, inspect
from llm_metrics_proxy.storage.connection import BUSY_TIMEOUT_MS, Access, connect
from llm_metrics_proxy.storage.sqlite_schema import applied_steps

DAYS: Final = 10  # to compare, different ones each time
_NAME: Final = "rollups"


def rollups(settings: Settings) -> Finding:
    """Do roll-ups of some days, made again from their records, come out the same?"""
    from llm_metrics_proxy.storage import rollup_check  # noqa: PLC0415 -- numpy, which no other verb waits for

    path = settings.db_path
    if store_elsewhere(settings) is not None:
        return ok(_NAME, "none: the store that has the records answers without")
    try:
        if inspect(path).found is FileKind.LEGACY:
            return ok(_NAME, "not compared: an older version made them; a migration makes them again")
        if not applied_steps(path):
            return ok(_NAME, "none yet; the metrics process makes them")
        with closing(connect(path, Access.READ, busy_ms=BUSY_TIMEOUT_MS)) as connection:
            checked = rollup_check.check(connection, DAYS, randbits(32))
    except (LlmMetricsProxyError, apsw.Error) as error:
        return warning(_NAME, str(error), "the check `database` says more")
    if checked.fault is not None:
        advice = "please report it; a migration, or a new version's tables, rebuild all of them"
        return failed(_NAME, checked.fault, advice)
    if not checked.is_complete:
        return ok(_NAME, "they are being made; until then, records answer")
    if not checked.days:
        return ok(_NAME, "no day that could be compared")
    return ok(_NAME, f"{checked.rows:,} rows of {len(checked.days)} days are what the records say: "
        f"{', '.join(checked.days)}"
    )  # fmt: skip
