"""What AWS says in the head of an answer."""

import pytest

from llm_metrics_proxy.wire.aws_head import named_by_aws


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"ValidationException", "ValidationException"),
        (b"ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/", "ThrottlingException"),
        (b"com.amazon.coral.service#UnrecognizedClientException", "UnrecognizedClientException"),
        (b"x" * 300, "x" * 256),
    ],
)
def test_the_type_of_an_error_is_its_bare_name(value: bytes, name: str) -> None:
    assert named_by_aws({"x-amzn-errortype": value}) == (("upstream_error_type", name),)


def test_the_id_is_the_answers_and_without_either_nothing_is_said() -> None:
    assert named_by_aws({"x-amzn-requestid": b"0c1f-9", "x-amzn-errortype": b":"}) == (("response_id", "0c1f-9"),)
    assert named_by_aws({"date": b"x"}) == ()
