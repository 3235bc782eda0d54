"""Everything that is wrong with a configuration, found without starting anything: what ``serve`` would refuse later
included."""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from llm_metrics_proxy.config.faults import SettingFault
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.sources import Loaded, examine
from llm_metrics_proxy.config.store_access import store_access
from llm_metrics_proxy.config.table import rows, table_rows
from llm_metrics_proxy.config.toml_tables import TOML_TABLES
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.processes.options import otlp_options, rules

_OTHERS: Final = stat.S_IRGRP | stat.S_IROTH
_SEEN: Final = "every user of this machine can read a process's flags; put it into the file"
# What only shows when a process's options are made of the settings.
_LATER: Final[tuple[Callable[[Settings], object], ...]] = (rules, store_access, otlp_options)


class Examined(NamedTuple):
    """``loaded``: none if something is wrong. ``cautions`` stop nothing."""

    loaded: Loaded | None
    faults: list[SettingFault]
    cautions: list[SettingFault]


def examined(flags: Mapping[str, Any], environment: Mapping[str, str], config_file: Path | None) -> Examined:
    """Look at file, environment and flags together."""
    loaded, faults = examine(flags, environment, config_file)
    if loaded is None:
        return Examined(None, faults, [])
    for later in _LATER:
        try:
            later(loaded.settings)
        except SettingsError as error:
            faults += [each if isinstance(each, SettingFault) else SettingFault.at(each) for each in error.problems]
    return Examined(None if faults else loaded, faults, _cautions(loaded))


def _cautions(loaded: Loaded) -> list[SettingFault]:
    found = [
        SettingFault.at(f"{row.name} ({loaded.origins[name]}): {_SEEN}, or give {row.environment}", name)
        for name, row in rows().items()
        if row.is_secret and loaded.origins[name].startswith("flag ")
    ]
    file = loaded.config_file
    if file is not None and (names := _secrets_in(loaded, file)) and os.stat(file).st_mode & _OTHERS:  # noqa: PTH116
        words = f"{file}: holds {', '.join(names)}, and others may read it: chmod 600, or put them into the environment"
        found.append(SettingFault.at(words, None, file, bare=words.removeprefix(f"{file}: ")))
    return found


def _secrets_in(loaded: Loaded, file: Path) -> list[str]:
    """Settings and keys of tables that this file gives and others must not read."""
    named = [name for name, row in rows().items() if row.is_secret and loaded.origins[name].startswith(f"{file} line")]
    for table in TOML_TABLES:
        hidden = [name for name, row in table_rows(table).items() if row.is_secret] + list(TOML_TABLES[table].hidden)
        given = {name for each in getattr(loaded.settings, table) for name in each.model_fields_set}
        named += [f"{table}.{name}" for name in dict.fromkeys(hidden) if name in given and name != "token_sha256"]
    return named
