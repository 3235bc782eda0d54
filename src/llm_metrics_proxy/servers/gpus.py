"""Readers of what ``nvidia-smi`` and ``rocm-smi`` print. Pure."""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

MOST_GPUS: Final = 64
_MIB: Final = 1024**2
# Of nvidia-smi, in this order; the name last, for it may have commas.
NVIDIA_FIELDS: Final = (
    "index",
    "utilization.gpu",
    "memory.used",
    "memory.total",
    "power.draw",
    "temperature.gpu",
    "name",
)
NVIDIA: Final = ("nvidia-smi", f"--query-gpu={','.join(NVIDIA_FIELDS)}", "--format=csv,noheader,nounits")
ROCM: Final = (
    "rocm-smi", "--showproductname", "--showuse", "--showmeminfo", "vram", "--showpower", "--showtemp", "--json",
)  # fmt: skip
_NVIDIA_UNITS: Final = (
    ("utilisation_ratio", 0.01), ("memory_used_bytes", _MIB), ("memory_bytes", _MIB), ("power_w", 1.0),
    ("temperature_c", 1.0),
)  # fmt: skip
# rocm-smi's keys differ by release and card: the first that is there counts.
_ROCM_KEYS: Final = (
    ("utilisation_ratio", 0.01, ("GPU use (%)",)),
    ("memory_used_bytes", 1.0, ("VRAM Total Used Memory (B)",)),
    ("memory_bytes", 1.0, ("VRAM Total Memory (B)",)),
    (
        "power_w", 1.0,
        ("Current Socket Graphics Package Power (W)", "Average Graphics Package Power (W)",
         "Current Graphics Package Power (W)"),
    ),
    (
        "temperature_c", 1.0,
        ("Temperature (Sensor edge) (C)", "Temperature (Sensor junction) (C)", "Temperature (Sensor hotspot) (C)"),
    ),
)  # fmt: skip
_ROCM_NAMES: Final = ("Card Series", "Card series", "Card Model", "Card model", "Device Name")


class GpuReading(NamedTuple):
    """One GPU. ``number`` as the program counts them."""

    number: str
    name: str
    gauges: Mapping[str, float]


def nvidia_smi(text: bytes) -> list[GpuReading]:
    """Lines of the query ``NVIDIA``; ``[N/A]`` and other words are values that there are none of."""
    found = []
    for line in text.decode("utf-8", "replace").splitlines()[:MOST_GPUS]:
        parts = [part.strip() for part in line.split(",", len(NVIDIA_FIELDS) - 1)]
        if len(parts) == len(NVIDIA_FIELDS) and parts[0].isdigit():
            found.append(
                GpuReading(
                    parts[0],
                    parts[-1][:100],
                    {
                        name: value * unit
                        for (name, unit), part in zip(_NVIDIA_UNITS, parts[1:-1], strict=True)
                        if (value := _number(part)) is not None
                    },
                )
            )
    return found


def rocm_smi(text: bytes) -> list[GpuReading]:
    """The JSON of ``ROCM``: an object per card. Warnings may stand before it."""
    at = text.find(b"{")
    try:
        document: Any = msgspec.json.decode(text[at:]) if at >= 0 else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    cards = document.items() if isinstance(document, dict) else ()
    found = []
    for card, facts in list(cards)[:MOST_GPUS]:
        if card.startswith("card") and card[4:].isdigit() and isinstance(facts, dict):
            gauges = {
                name: value * unit
                for name, unit, keys in _ROCM_KEYS
                if (value := next((n for key in keys if (n := _number(facts.get(key))) is not None), None)) is not None
            }
            name = next((facts[key] for key in _ROCM_NAMES if isinstance(facts.get(key), str) and facts[key]), "GPU")
            found.append(GpuReading(card[4:], name[:100], gauges))
    return found


def _number(value: object) -> float | None:
    try:
        number = float(str(value).strip()) if isinstance(value, str | int | float) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
