"""Imports run one way. The table is the design; a new arrow is added here on purpose or not at all."""

import ast
from pathlib import Path

import pytest

PACKAGE = "llm_metrics_proxy"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE

# Room → the rooms it may import. A room is a top-level module or package; a file of `OF_ITS_OWN` is a room too.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "extras": {"errors"},
    "columns": set(),
    "record": {"columns"},
    "scoreboard": {"descriptors"},
    "logs": set(),
    "process_memory": set(),
    "globs": set(),
    "zstandard": set(),
    "forwarded": set(),
    "tls_reasons": set(),
    "doors": set(),
    "ownership": set(),
    "machine": set(),
    "descriptors": set(),
    "wire": {"errors", "record", "zstandard"},
    "journal": {"errors", "record", "ownership"},
    "proxy": {
        "errors", "record", "scoreboard", "logs", "globs", "forwarded", "tls_reasons", "doors", "process_memory",
        "descriptors", "wire", "journal", "config.values",
    },
    "storage.base": {"errors", "record"},
    "rollups": {"columns", "record"},
    "storage": {
        "errors", "columns", "record", "storage.base", "metrics_service", "rollups", "ownership", "machine",
    },
    # What a migration is made of; the migrations, which are frozen and know nothing else; the engine, which is handed
    # them by whoever starts it and imports none.
    "migration.formula": {"record"},
    "migration.counts": {"storage.base", "migration.model", "wire"},
    "migration.model": {"storage.base", "migration.formula"},
    "migration.timestamps": {"storage.base"},
    "migration.failures": {"wire", "migration.model"},
    "migration.failures_oracle": {"storage.base", "migration.model", "wire"},
    "migration.token_times": {"migration.model"},
    "migration.token_times_oracle": {"storage.base"},
    "safe_migrations": {
        "storage.base", "migration.model", "migration.timestamps", "migration.failures", "migration.failures_oracle",
        "migration.token_times", "migration.token_times_oracle", "migration.counts",
    },
    "migration": {
        "errors", "record", "storage.base", "storage", "metrics_service", "migration.model", "migration.formula",
        "migration.counts", "migration.failures", "migration.token_times", "migration.timestamps", "rollups",
        "ownership", "wire",
    },
    "upkeep": {"errors", "storage", "storage.base", "rollups", "migration"},
    # What servers say of themselves: readers, the poller, and the answer that sets it beside records.
    "servers": {"errors", "storage", "storage.base", "analytics", "metrics_service"},
    "quotas": {"record", "storage.base"},
    "exemplars": {"record"},
    "counters": {"errors", "record", "storage.base", "wire", "quotas", "exemplars"},  # of wire: the names of outcomes
    "metrics_service": {"errors", "record", "storage.base", "wire"},
    "pricing": {"globs", "wire"},  # of wire: the table of endpoints, as telemetry
    "telemetry": {"errors", "record", "tls_reasons", "wire"},
    "watch": {"errors", "storage.base", "quotas", "analytics", "metrics_service", "tls_reasons"},
    "ingestion": {"errors", "record", "storage.base", "journal", "counters", "metrics_service", "ownership"},
    # of wire: the table of errors
    "analytics": {"errors", "columns", "record", "metrics_service", "wire"},
    # Engines answer what ``analytics.records`` asks; only ``engines`` itself, which opens one, knows which there are.
    "engines": {
        "errors", "storage.base", "storage", "analytics", "store_address", "engines.operations", "engines.report",
        "engines.sqlite", "engines.clickhouse", "record", "migration", "migration.model",
    },
    "engines.report": set(),
    "engines.operations": {"storage", "analytics"},
    "engines.sqlite": {
        "columns", "record", "storage.base", "storage", "rollups", "analytics", "engines.operations", "migration",
    },
    "engines.clickhouse": {
        "errors", "extras", "columns", "record", "storage.base", "storage", "metrics_service", "analytics", "zstandard",
        "store_address", "engines.operations", "engines.report", "migration", "migration.model", "migration.formula",
    },
    "store_address": {"errors"},
    "export": {"errors", "extras", "record", "analytics", "export.parquet", "export.arrow"},
    "export.arrow": {"analytics"},
    "export.parquet": {"record", "analytics", "export", "metrics_service"},
    "reports": {"errors", "analytics", "metrics_service"},
    # What programs and notebooks ask with: the same values as the API, and nothing that knows a store.
    "client": {"errors", "extras", "analytics", "metrics_service", "export.parquet", "export.arrow"},
    # Tools for agents: questions of the API, asked by the client.
    "mcp_server": {"errors", "record", "analytics", "metrics_service", "wire", "client"},
    "api": {
        "errors", "columns", "record", "storage.base", "scoreboard", "counters", "quotas", "analytics",
        "metrics_service", "ingestion", "wire", "export", "reports", "watch", "forwarded", "doors", "descriptors",
        "servers", "exemplars", "client", "mcp_server", "extras",
    },
    # Of analytics: which metrics there are.
    "config.values": set(),  # the settings as processes get them, without the library that validates them
    "config": {"errors", "extras", "columns", "scoreboard", "globs", "doors", "machine", "analytics", "store_address"},
    "listening": {"errors", "descriptors"},
    "supervisor": {"errors", "scoreboard", "logs", "descriptors", "ownership"},
    "demo": {"errors", "logs"},
    "dashboard": set(),
    "handbook": set(),
    # What starts the processes and what runs in the metrics process: it puts the other rooms together.
    "processes": {
        "errors", "scoreboard", "logs", "tls_reasons", "ownership", "process_memory", "proxy", "storage", "migration",
        "migration.model", "safe_migrations", "upkeep", "counters", "metrics_service", "pricing", "telemetry", "watch",
        "ingestion", "analytics", "engines", "store_address", "api", "config", "config.values", "listening",
        "supervisor", "demo", "dashboard", "handbook", "servers", "client", "mcp_server", "extras",
    },
    # Verbs. What a verb shares with a process comes from ``processes``; proxy and API are out of bounds.
    "cli": {
        "errors", "columns", "record", "scoreboard", "logs", "doors", "descriptors", "journal", "storage.base",
        "storage", "migration", "migration.model", "safe_migrations", "metrics_service", "pricing", "quotas", "watch",
        "analytics", "engines", "engines.operations", "engines.report", "store_address", "export", "reports",
        "config", "listening", "supervisor", "demo", "dashboard", "processes", "servers", "ownership",
        "machine",
    },
    "__main__": {"cli"},
}  # fmt: skip

# What workers know of the settings, the face of storage, each engine, what the migrations of `safe_migrations.py` are
# written in, and who alone may load pyarrow.
OF_ITS_OWN = {
    "engines.operations", "engines.report", "engines.sqlite", "engines.clickhouse",
    "config.values",
    "storage.base", "migration.model", "migration.timestamps", "migration.failures", "migration.failures_oracle",
    "export.parquet", "export.arrow",
    "migration.token_times", "migration.token_times_oracle", "migration.formula", "migration.counts",
}  # fmt: skip

# What only one room may know of the world outside.
ONLY_IN: dict[str, set[str]] = {
    "apsw": {
        "storage",
        "migration",
        "upkeep",
        "cli",
        "processes",
        "engines",
        "engines.clickhouse",
    },  # there: of the control store
    "clickhouse_connect": {"engines.clickhouse"},
    "httptools": {"proxy", "processes"},
    "uvloop": {"proxy"},
    "fastapi": {"api"},
    "prometheus_client": {"api"},
    "pyarrow": {"export.parquet", "export.arrow", "client"},
    "httpx2": {"client"},
    "mcp": {"mcp_server"},
    "mcp_types": {"mcp_server"},
    "jinja2": {"reports"},
    "genai_prices": {"pricing"},
    "opentelemetry": {"telemetry"},
    "typer": {"cli"},
    "rich": {"cli"},
    "pydantic_settings": {"config"},
    "numpy": {"rollups", "storage", "engines.sqlite", "ingestion"},  # of the metrics process; never the workers
    "semver": {"metrics_service", "storage", "migration", "analytics", "cli", "processes"},
    "sqlite3": set(),
}

# Pure rooms and files: bytes and values in, bytes and values out.
PURE = [
    "wire",
    "columns.py",
    "record.py",
    "globs.py",
    "forwarded.py",
    "tls_reasons.py",
    "rollups",
    "storage/sampled.py",
    *(
        f"servers/{name}.py"
        for name in (
            "readings",
            "exposition",
            "programs",
            "json_pages",
            "gpus",
            "pages",
            "schedule",
            "minutes",
            "local",
            "targets",
            "seen",
            "verdict",
            "folding",
        )
    ),
    "doors.py",
    "proxy/admission.py",
    "proxy/chunked.py",
    "proxy/request_line.py",
    "proxy/exchange.py",
    "proxy/endings.py",
    "proxy/retries.py",
    "proxy/response_reader.py",
    "proxy/headers.py",
    "proxy/inbound.py",
    "proxy/answers.py",
    "proxy/plans.py",
    "proxy/request_body.py",
    "proxy/tunnel.py",
    "proxy/policy.py",
    "proxy/routing.py",
    "proxy/choice.py",
    "proxy/backend_health.py",
    "metrics_service.py",
    "quotas/windows.py",
    "quotas/outlook.py",
    "watch/rules.py",
    "watch/states.py",
    "telemetry/names.py",
    "telemetry/facts.py",
    "pricing/rates.py",
    "pricing/table.py",
    "pricing/pricer.py",
    "migration/model.py",
    "migration/timestamps.py",
    "migration/failures.py",
    "migration/failures_oracle.py",
    "migration/token_times.py",
    "migration/token_times_oracle.py",
    "safe_migrations.py",
]
IMPURE_MODULES = {"asyncio", "socket", "time", "os", "threading", "subprocess", "uvloop", "apsw", "random", "datetime"}
# What a pure file may take from an impure module all the same, because it only calculates.
CALCULATES = {
    "migration/timestamps.py": {"datetime": {"fromisoformat"}},
}


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def room_of(module: str) -> str:
    parts = module.split(".")
    face = ".".join(parts[:2])
    return face if face in OF_ITS_OWN else parts[0]


def imported_modules(path: Path) -> set[str]:
    """Every absolute module name in an import statement, at any depth, those for type checking included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} line {node.lineno}: imports are absolute here"
            assert node.module is not None
            found |= {
                f"{node.module}.{alias.name}" if is_file(node.module, alias.name) else node.module
                for alias in node.names
            }
    return found


def is_file(module: str, name: str) -> bool:
    """Whether what is imported from a package is one of its files or folders."""
    folder = SOURCE.parent.joinpath(*module.split("."))
    return (folder / f"{name}.py").exists() or (folder / name).is_dir()


def room_of_file(path: Path) -> str:
    relative = path.relative_to(SOURCE).with_suffix("")
    return room_of(".".join(relative.parts))


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_what_the_table_allows(path: Path) -> None:
    room = room_of_file(path)
    if room == "__init__":
        return
    assert room in ALLOWED, f"{room} is a new room: give it a row in the table"
    for module in imported_modules(path):
        if not module.startswith(PACKAGE + "."):
            continue
        target = room_of(module.removeprefix(PACKAGE + "."))
        assert target == room or target in ALLOWED[room], f"{path.name} must not import {module}"


def imports_of_files() -> dict[str, set[str]]:
    """Every file of the package, as a module, and the files that it imports; those for type checking included."""
    files = {".".join((PACKAGE, *path.relative_to(SOURCE).with_suffix("").parts)): path for path in sources()}
    modules = {name.removesuffix(".__init__"): path for name, path in files.items()}
    found: dict[str, set[str]] = {}
    for name, path in modules.items():
        targets: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                each = [f"{node.module}.{alias.name}" for alias in node.names]
                targets |= {target if target in modules else node.module for target in each}
        found[name] = {target for target in targets if target in modules and target != name}
    return found


def circles(imports: dict[str, set[str]]) -> list[str]:
    """Chains of imports that lead back to where they began, one for each place at which a walk closes a circle."""
    found: list[str] = []
    done: set[str] = set()

    def walk(name: str, chain: list[str]) -> None:
        if name in chain:
            found.append(" -> ".join([*chain[chain.index(name) :], name]))
        elif name not in done:
            for target in sorted(imports[name]):
                walk(target, [*chain, name])
            done.add(name)

    for name in sorted(imports):
        walk(name, [])
    return found


def test_no_files_import_each_other_in_a_circle() -> None:
    """So each can be read, and tested, with only what is below it."""
    assert not circles(imports_of_files())


def test_no_arrow_between_folders_runs_up() -> None:
    """Folders, and files beside them, are floors: none imports what imports it, directly or over others."""
    floors: dict[str, set[str]] = {}
    for name, targets in imports_of_files().items():
        floor = name.split(".")[1:2]  # none: the package itself
        below = {target.split(".")[1] for target in targets if target != PACKAGE} - set(floor)
        for each in floor:
            floors.setdefault(each, set()).update(below)
    assert not circles(floors)


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == ["a -> b -> c -> a"]
    assert circles({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_library_is_known_only_to_its_room(path: Path) -> None:
    room = room_of_file(path)
    for module in imported_modules(path):
        owners = ONLY_IN.get(module.split(".")[0])
        assert owners is None or room in owners, f"{path.name} must not import {module}: it belongs to {owners}"


@pytest.mark.parametrize("place", PURE)
def test_the_pure_core_knows_no_io_and_no_clock(place: str) -> None:
    target, calculates = SOURCE / place, CALCULATES.get(place, {})
    for path in sorted(target.rglob("*.py")) if target.is_dir() else [target]:
        impure = {module.split(".")[0] for module in imported_modules(path)} & IMPURE_MODULES - set(calculates)
        assert not impure, f"{path.name} is to be pure and imports {impure}"
        for module, allowed in calculates.items():
            taken = taken_from(module, path)
            assert taken <= allowed, f"{path.name} is to be pure and uses {taken - allowed} of {module}"


def taken_from(name: str, path: Path) -> set[str]:
    """Attributes of a module, or of a class of the same name, that the file uses."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute))
    return {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == name}


def test_the_table_names_no_room_that_is_gone() -> None:
    rooms = {room_of_file(path) for path in sources()}
    assert set(ALLOWED) <= rooms
