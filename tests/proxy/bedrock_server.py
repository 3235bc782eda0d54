"""A Bedrock that answers as the real one does, and checks signatures and keys as it does."""

import hashlib
import hmac
import json
import re
from typing import Any, Final
from urllib.parse import quote, unquote

from tests.upstream import CHUNKED, Request, Script, Send, chunked, head, response
from tests.wire.apis.test_anthropic import ANSWER as MESSAGE
from tests.wire.aws_messages import exception
from tests.wire.bedrock_streams import CONVERSE, CONVERSE_ANSWER, INVOKED_CLAUDE

KEY_ID, SECRET, BEARER = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "bedrock-api-key-YmVkcm9jaw"
EVENTS: Final = ("content-type", "application/vnd.amazon.eventstream")
ID: Final = ("x-amzn-requestid", "0c1f5d3a-9e3b-4b43-8d7a-2f0f4b7c1e11")
COUNTS: Final = (
    ("x-amzn-bedrock-input-token-count", "12"), ("x-amzn-bedrock-output-token-count", "0"),
    ("x-amzn-bedrock-invocation-latency", "926"),
)  # fmt: skip
_SIGNED: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def is_signed(request: Request) -> bool:
    """Whether its Signature Version 4 fits what came (AWS: "Create a signed AWS API request")."""
    match = _SIGNED.fullmatch(request.header("authorization") or "")
    if match is None or match[1] != KEY_ID:
        return False
    _, day, region, service, names, signature = match.groups()
    path, _, query = request.target.partition("?")
    canonical = "\n".join([
        request.method, quote(path, safe="/~"), query,  # every service but S3 encodes the encoded path once more
        *(f"{name}:{' '.join((request.header(name) or '').split())}" for name in names.split(";")), "",
        names, hashlib.sha256(request.body).hexdigest(),
    ])  # fmt: skip
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    told = "\n".join(["AWS4-HMAC-SHA256", request.header("x-amz-date") or "", scope, digest])
    key = f"AWS4{SECRET}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.digest(key, told.encode(), "sha256").hex(), signature)


def refused(status: int, kind: str, words: str) -> Script:
    """An error as the REST-JSON protocol has it: its type in the head, its message in the body."""
    where = f"{kind}:http://internal.amazon.com/coral/com.amazon.bedrock/"
    return [Send(response(json.dumps({"message": words}).encode(), ("x-amzn-errortype", where), ID, status=status))]


def answered(value: Any, *fields: tuple[str, str]) -> Script:
    return [Send(response(json.dumps(value).encode(), ID, *fields))]


def bedrock_handler(request: Request) -> Script:
    """One request of any of the five operations."""
    if request.header("authorization") != f"Bearer {BEARER}" and not is_signed(request):
        return refused(403, "InvalidSignatureException", "The request signature we calculated does not match.")
    _, _, model, operation = request.target.split("/")
    model = unquote(model)
    if model == "too-long":
        return refused(400, "ValidationException", "Input is too long for requested model.")
    if model == "throttled":
        return refused(429, "ThrottlingException", "Too many tokens, please wait before trying again.")
    if model == "loading":
        return refused(429, "ModelNotReadyException", "The model is not ready.")
    if model == "failing":
        return refused(424, "ModelErrorException", "The system encountered an unexpected error.")
    if operation == "converse":
        return answered(CONVERSE_ANSWER)
    if operation == "count-tokens":
        return answered({"inputTokens": 42})
    if operation == "invoke":
        if model.startswith("cohere.embed"):
            return answered({"embeddings": [[0.5]], "id": "e", "response_type": "embeddings_floats"}, *COUNTS)
        return answered(MESSAGE)
    events = CONVERSE if operation == "converse-stream" else INVOKED_CLAUDE
    if model == "breaks":
        events = [*events[:6], exception("modelStreamErrorException", {"message": "It broke."})]
    more = [("x-amzn-bedrock-content-type", "application/json")] if events[0] == INVOKED_CLAUDE[0] else []
    return [Send(head(200, EVENTS, ID, CHUNKED, *more) + chunked(*events), cut=700)]
