"""What AWS says in the head of an answer."""

import pytest

from llm_metrics_proxy.wire.head_reports import FIELDS, HeadReport, head_report, named_error

FULL = {
    "x-amzn-bedrock-input-token-count": b"7", "x-amzn-bedrock-output-token-count": b"36",
    "x-amzn-bedrock-cache-read-input-token-count": b"5", "x-amzn-bedrock-cache-write-input-token-count": b"3",
    "x-amzn-bedrock-invocation-latency": b"926", "x-amzn-requestid": b"0c1f-9", "content-type": b"application/json",
}  # fmt: skip


def test_counts_id_and_latency_are_read() -> None:
    counts = {
        "inputTokenCount": 7, "outputTokenCount": 36, "cacheReadInputTokenCount": 5, "cacheWriteInputTokenCount": 3,
    }  # fmt: skip
    assert head_report(FULL) == HeadReport(counts, "0c1f-9", 926)
    assert set(FULL) - {"content-type"} < set(FIELDS)


@pytest.mark.parametrize("value", [b"", b"x", b"-1", b"1.5", b"9" * 17, b"\xb2", b"1 2"])
def test_what_is_no_number_is_left_out(value: bytes) -> None:
    assert head_report({"x-amzn-bedrock-input-token-count": value}) == HeadReport({}, None, None)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"ValidationException", "ValidationException"),
        (b"ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", "ThrottlingException"),
        (b"com.amazon.coral.service#UnrecognizedClientException", "UnrecognizedClientException"),
        (b"", None),
        (None, None),
    ],
)
def test_the_type_of_an_error_is_its_bare_name(value: bytes | None, name: str | None) -> None:
    assert named_error({} if value is None else {"x-amzn-errortype": value}) == name
