"""What ``doctor`` finds out about several backends: does each one answer, and which ones does the proxy pass over?"""

import asyncio
import os
import ssl
from typing import Any, Final

import msgspec

from llm_metrics_proxy.cli.finding import Finding, Status
from llm_metrics_proxy.config.backends import BackendTable
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.processes import discovery
from llm_metrics_proxy.processes.discovery import Found, Manners

ANSWER_LIMIT_S: Final = 3.0
_SHOWN: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- asked, not bound


def backends(settings: Settings) -> Finding:
    """Every one is asked at the same time. One that does not answer is a warning, as long as another does."""
    answers = asyncio.run(_ask_all(settings))
    well = [name for name, answer in answers.items() if isinstance(answer, Found) or "wants a key" in answer]
    passed_over = asyncio.run(_passed_over(settings))
    found = "; ".join(f"{name}: {answer}" for name, answer in answers.items())
    if passed_over:
        found += f"; the proxy that runs passes over: {', '.join(passed_over)}"
    if not well:
        return Finding("backend", Status.FAILED, found, "start them, or correct the tables [[backends]]")
    if len(well) < len(answers) or passed_over:
        advice = "requests go to the others, if these serve the same models; start it, or take it out of the file"
        return Finding("backend", Status.WARNING, found, advice)
    return Finding("backend", Status.OK, found)


def tls(settings: Settings) -> Finding:
    """Is every https backend the one that its certificate says?"""
    urls = {table.name: (str(table.url), _verifies(settings, table)) for table in settings.backends}
    if not urls:
        urls = {"backend": (settings.backend or "", settings.upstream_tls_verify)}
    over_tls = {name: verifies for name, (url, verifies) in urls.items() if url.startswith("https:")}
    anybody = [name for name, verifies in over_tls.items() if not verifies]
    if anybody:
        advice = "name the certificate's issuer with upstream_ca_file or ca_file, and turn tls_verify on again"
        found = f"certificates are not checked, so anybody in between can read keys and prompts: {', '.join(anybody)}"
        return Finding("tls", Status.WARNING, found, advice)
    return Finding("tls", Status.OK, f"{len(over_tls)} https backends, all checked" if over_tls else "no https backend")


def _verifies(settings: Settings, table: BackendTable) -> bool:
    return settings.upstream_tls_verify if table.tls_verify is None else table.tls_verify


async def _ask_all(settings: Settings) -> dict[str, Found | str]:
    tables = settings.backends
    answers = await asyncio.gather(
        *(
            discovery.identify(str(table.url), limit_s=ANSWER_LIMIT_S, manners=of_table(settings, table))
            for table in tables
        )
    )
    return {table.name: answer for table, answer in zip(tables, answers, strict=True)}


def of_the_one(settings: Settings) -> Manners:
    """As the workers talk to the backend where there is one."""
    context = _trust(settings.upstream_ca_file, verifies=settings.upstream_tls_verify)
    return Manners("", context, host=settings.upstream_host_header)


def of_table(settings: Settings, table: BackendTable) -> Manners:
    """As the workers talk to one of several."""
    lines = [f"{name}: {value}\r\n" for name, value in table.add_headers.items()]
    key = os.environ.get(table.api_key_env or "", "").strip()
    if key and table.dialect == "anthropic":
        lines.append(f"x-api-key: {key}\r\n")
    elif key:
        lines.append(f"Authorization: Bearer {key}\r\n")
    context = _trust(table.ca_file or settings.upstream_ca_file, verifies=_verifies(settings, table))
    host = table.host_header or settings.upstream_host_header
    return Manners("".join(lines), context, table.tls_server_name, host)


def _trust(ca_file: str | None, *, verifies: bool) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _passed_over(settings: Settings) -> list[str]:
    """Names, as any of the workers sees them; nothing if no proxy runs here."""
    host = _SHOWN.get(settings.metrics_host, settings.metrics_host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.metrics_port}/health"
    try:
        document: Any = msgspec.json.decode((await discovery.ask(url, ANSWER_LIMIT_S)).body)
        return sorted({each["name"] for each in document["backends"] if not each["up"]})
    except (OSError, ValueError, TimeoutError, KeyError, TypeError):
        return []
