"""What OpenAI keeps for its users: conversations, files, uploads, batches, videos, stored answers, browsers' keys.

What passes by default is what a user does with things of their own. Responses and conversations are in no list: who
knows the id made them, or was told it, so they may also be changed and deleted. Files, batches, videos and stored chat
completions are listed for everybody who has the account's key, which a proxy may add to each request: they can be made
and read, and not deleted, changed or cancelled.

Sources: OpenAI's API reference, "Conversations", "Files", "Uploads", "Batch", "Videos", "Client secrets", "Calls".
"""

from typing import Any, Final

import msgspec

from llm_metrics_proxy.wire.apis.openai_responses import OPENAI_RESPONSES, ResponsesBodyReader, ResponsesObject
from llm_metrics_proxy.wire.apis.openai_stream import OPENAI_CHAT
from llm_metrics_proxy.wire.apis.other_operations import OPENAI_IMAGES
from llm_metrics_proxy.wire.base import ResponseFacts
from llm_metrics_proxy.wire.dialects import FETCH, Endpoint


class OpenAIBatchReader(ResponsesBodyReader):
    """A batch has the members of a response: id, model, status, and once it is done the usage of all its requests."""

    __slots__ = ()

    def facts_of(self, answer: ResponsesObject, **ends: Any) -> ResponseFacts:
        return msgspec.structs.replace(super().facts_of(answer, **ends), service_tier="batch")


OPENAI_CHAT_FETCH: Final = msgspec.structs.replace(
    OPENAI_CHAT,
    name="openai_chat_fetch",
    operation=FETCH,
    paths=("**/chat/completions/{id}",),
    method="GET",
    can_inject_usage=False,
)
OPENAI_BATCH_FETCH: Final = msgspec.structs.replace(
    OPENAI_RESPONSES,
    name="openai_batch_fetch",
    operation=FETCH,
    paths=("batches/{id}",),
    method="GET",
    stream_reader=None,
    body_reader=OpenAIBatchReader,
    signs=("status",),
)
# Billed by the second: there are no tokens in it.
OPENAI_VIDEOS: Final = msgspec.structs.replace(
    OPENAI_IMAGES,
    name="openai_videos",
    operation="video_generation",
    paths=("videos", "videos/{id}/remix", "videos/edits", "videos/extensions"),
    stream_reader=None,
    signs=("id",),
)
OPENAI_VIDEO_FETCH: Final = msgspec.structs.replace(
    OPENAI_VIDEOS, name="openai_video_fetch", operation=FETCH, paths=("videos/{id}",), method="GET"
)
DIALECTS: Final = (OPENAI_CHAT_FETCH, OPENAI_BATCH_FETCH, OPENAI_VIDEOS, OPENAI_VIDEO_FETCH)

_CONVERSATION: Final = ("conversations/{id}", "conversations/{id}/items")
_ITEM: Final = "conversations/{id}/items/{id}"

# Forwarded, with times and errors in their records: nothing in them is a fact of a model's.
ENDPOINTS: Final = (
    Endpoint(paths=("responses/{id}/input_items", "/openai/responses/{id}/input_items"), method="GET"),
    Endpoint(paths=("responses/{id}", "/openai/responses/{id}"), method="DELETE"),
    Endpoint(paths=("chat/completions/{id}/messages",), method="GET"),
    Endpoint(paths=("conversations/{id}/items",)),  # conversations themselves are made where Mistral's are, see there
    Endpoint(paths=(*_CONVERSATION, _ITEM), method="GET"),
    Endpoint(paths=("conversations/{id}", _ITEM), method="DELETE"),
    Endpoint(paths=("files", "uploads", "uploads/{id}/parts", "uploads/{id}/complete", "uploads/{id}/cancel")),
    Endpoint(paths=("files", "files/{id}", "files/{id}/content"), method="GET"),
    Endpoint(paths=("batches",)),
    Endpoint(paths=("batches", "videos", "videos/{id}/content"), method="GET"),
    Endpoint(
        paths=(
            "realtime/client_secrets",
            "realtime/translations/client_secrets",
            "realtime/sessions",
            "realtime/transcription_sessions",
            "realtime/calls",
        )
    ),
)
