"""What nvidia-smi and rocm-smi print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_metrics_proxy.servers.gpus import GpuReading, nvidia_smi, rocm_smi
from tests.servers import pages

_MIB = 1024**2


def test_a_line_is_a_gpu_and_what_is_not_supported_is_not_known() -> None:
    first, second = nvidia_smi(pages.NVIDIA_SMI)
    assert first == GpuReading(
        "0", "NVIDIA GeForce RTX 4090",
        {
            "utilisation_ratio": 0.97, "memory_used_bytes": 22310 * _MIB, "memory_bytes": 24576 * _MIB,
            "power_w": 347.12, "temperature_c": 71,
        },
    )  # fmt: skip
    assert second.name == "NVIDIA H100 80GB HBM3 MIG 1g.10gb, slice"
    assert set(second.gauges) == {"memory_used_bytes", "memory_bytes", "temperature_c"}


def test_a_card_of_amd_is_read_whatever_warning_comes_first() -> None:
    [card] = rocm_smi(pages.ROCM_SMI)
    assert (card.number, card.name) == ("0", "Radeon RX 7900 XTX")
    assert card.gauges == pytest.approx(
        {
            "utilisation_ratio": 0.88, "memory_used_bytes": 20753026560, "memory_bytes": 25753026560, "power_w": 212,
            "temperature_c": 55,
        }
    )  # fmt: skip


@given(st.binary(max_size=400) | st.text('0123456789, [N/A]\n{}":cardGPU use(%)', max_size=300).map(str.encode))
def test_other_words_say_nothing(printed: bytes) -> None:
    for gpu in (*nvidia_smi(printed), *rocm_smi(printed)):
        assert all(value >= 0 for value in gpu.gauges.values())
