"""What ``doctor`` finds out about backends: does each one answer, are certificates in order, who is passed over?"""

import asyncio
import os
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from llm_metrics_proxy.cli.finding import Finding, failed, ok, warning
from llm_metrics_proxy.config.backends import BackendTable
from llm_metrics_proxy.config.settings import Settings
from llm_metrics_proxy.config.types import DEMO
from llm_metrics_proxy.listening import base_url
from llm_metrics_proxy.processes import asking, discovery
from llm_metrics_proxy.processes.asking import Manners
from llm_metrics_proxy.processes.discovery import LlmServer

ANSWER_LIMIT_S: Final = 3.0


class _Target(NamedTuple):
    """One backend, and how the workers talk to it."""

    name: str
    url: str
    verifies: bool
    manners: Manners


def backend(settings: Settings) -> Finding:
    """Do the named servers answer like LLM servers, or is there one on loopback?"""
    if settings.backends:
        return _several(settings)
    if settings.backend == DEMO:
        return ok("backend", "the simulated server, which `serve` starts")
    if settings.backend is None:
        found = asyncio.run(discovery.look_on_loopback(frozenset({settings.port, settings.metrics_port})))
        if found:
            return ok("backend", "none named; on loopback: " + ", ".join(map(str, found)))
        advice = "name one with --backend http://host:port; `serve` would start the simulated server"
        return warning("backend", "none named, and no LLM server found on loopback", advice)
    [answer] = _ask(_targets(settings)).values()
    if isinstance(answer, LlmServer):
        return ok("backend", str(answer))
    if "wants a key" in answer:
        return ok("backend", f"{settings.backend} answers; {answer}")
    advice = "see above" if _is_tls_failure(answer) else "start it, or name another with --backend"
    return failed("backend", f"{settings.backend}: {answer}", advice)


def _several(settings: Settings) -> Finding:
    """One that does not answer is a warning, as long as another does."""
    answers = _ask(_targets(settings))
    well = [name for name, answer in answers.items() if isinstance(answer, LlmServer) or "wants a key" in answer]
    passed_over = asyncio.run(_passed_over(settings))
    found = "; ".join(f"{name}: {answer}" for name, answer in answers.items())
    if passed_over:
        found += f"; the proxy that runs passes over: {', '.join(passed_over)}"
    if not well:
        return failed("backend", found, "start them, or correct the tables [[backends]]")
    if len(well) < len(answers) or passed_over:
        advice = "requests go to the others, if these serve the same models; start it, or take it out of the file"
        return warning("backend", found, advice)
    return ok("backend", found)


def tls(settings: Settings) -> Finding:
    """Is every https backend the one that its certificate says?"""
    over_tls = [target for target in _targets(settings) if target.url.startswith("https:")]
    answers = _ask(over_tls)
    broken = {name: answer for name, answer in answers.items() if isinstance(answer, str) and _is_tls_failure(answer)}
    if broken:
        found = "; ".join(f"{name}: {answer}" for name, answer in broken.items())
        kind = failed if len(broken) == len(over_tls) else warning
        return kind("tls", found, "requests to such a server fail until that is mended")
    unchecked = [target.name for target in over_tls if not target.verifies]
    if unchecked:
        advice = "name the certificate's issuer with upstream_ca_file or ca_file, and turn tls_verify on again"
        found = "certificates are not checked, so anybody in between can read keys and prompts"
        return warning("tls", f"{found}: {', '.join(unchecked)}", advice)
    found = f"{len(over_tls)} https backends, all checked" if over_tls else "no https backend"
    return ok("tls", found)


def _is_tls_failure(answer: str) -> bool:
    return answer.startswith(discovery.TLS_FAILED)


def _targets(settings: Settings) -> list[_Target]:
    if settings.backends:
        return [_target(settings, table) for table in settings.backends]
    if settings.backend in {None, DEMO}:
        return []
    verifies = settings.upstream_tls_verify
    trust = asking.trusting(settings.upstream_ca_file, verifies=verifies)
    return [_Target("backend", str(settings.backend), verifies, Manners("", trust, host=settings.upstream_host_header))]


def _target(settings: Settings, table: BackendTable) -> _Target:
    key = os.environ.get(table.api_key_env or "", "").strip()
    manners = asking.manners_of(table, key, settings)
    return _Target(table.name, str(table.url), asking.verifies(table, settings), manners)


def _ask(targets: Sequence[_Target]) -> dict[str, LlmServer | str]:
    """All at the same time."""

    async def ask() -> list[LlmServer | str]:
        return await asyncio.gather(
            *(discovery.identify(each.url, limit_s=ANSWER_LIMIT_S, manners=each.manners) for each in targets)
        )

    return {target.name: answer for target, answer in zip(targets, asyncio.run(ask()), strict=True)}


async def _passed_over(settings: Settings) -> list[str]:
    """Names, as any of the workers sees them; nothing if no proxy runs here."""
    url = base_url(settings.metrics_host, settings.metrics_port) + "/health"
    try:
        document: Any = msgspec.json.decode((await asking.ask(url, ANSWER_LIMIT_S)).body)
        return sorted({each["name"] for each in document["backends"] if not each["up"]})
    except (OSError, ValueError, TimeoutError, KeyError, TypeError):
        return []
