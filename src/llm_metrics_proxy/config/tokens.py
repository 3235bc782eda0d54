"""Read-only tokens that see some records only: the tables ``[[tokens]]``, and what is checked about them."""

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from llm_metrics_proxy.analytics.conditions import Condition
from llm_metrics_proxy.config.types import Name, Token, setting
from llm_metrics_proxy.errors import QueryError

_key: Final = partial(setting, group="Addresses")
MOST: Final = 500
SCOPED_BY: Final = ("user", "api_key_id", "app", "tag")
_MOST_VALUES: Final = 100
_VALUES: Final = "a value, or a list of up to 100"


def _values(value: object) -> object:
    return [value] if isinstance(value, str) else value


Values = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=256, strict=True)]],
    BeforeValidator(_values),
    Field(max_length=_MOST_VALUES),
]


class TokenTable(BaseModel):
    """One table ``[[tokens]]``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = _key(
        ..., "Whose it is, as the page says.", allowed="up to 63 of a-z, 0-9, dot, dash and underscore; each name once"
    )
    token: Token | None = _key(
        None, "The token.", allowed="at least 8 printable ASCII characters without spaces", shown_default="none"
    )
    token_env: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", strict=True)] | None = _key(
        None,
        "Environment variable that holds the token, in place of `token`.",
        allowed="the name of an environment variable that is set",
        shown_default="none",
    )
    token_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", strict=True)] | None = _key(
        None,
        "SHA-256 of the token, in place of `token`. Only of a random token of 20 characters or more: others can be "
        "guessed from it.",
        allowed="64 digits of 0-9 and a-f, as `printf %s TOKEN | sha256sum` prints",
        shown_default="none",
    )
    user: Values = _key([], "It sees requests of these users.", allowed=_VALUES, shown_default="every one")
    api_key_id: Values = _key([], "Of these keys.", allowed=_VALUES, shown_default="every one")
    app: Values = _key([], "Of these applications.", allowed=_VALUES, shown_default="every one")
    tag: Values = _key([], "That have all these tags, each k=v.", allowed=_VALUES, shown_default="any")

    @model_validator(mode="after")
    def _is_one_token_of_something(self) -> "TokenTable":
        given = [one for one in (self.token, self.token_env, self.token_sha256) if one is not None]
        if len(given) != 1:
            raise ValueError("give token, token_env or token_sha256, one of them")
        if not any(getattr(self, name) for name in SCOPED_BY):
            raise ValueError(f"say what it sees, by one or several of {', '.join(SCOPED_BY)}")
        try:
            self.conditions()
        except QueryError as error:
            raise ValueError(str(error)) from error
        return self

    def conditions(self) -> tuple[Condition, ...]:
        """What a record has to meet to be seen: all of them. Raises ``QueryError``."""
        return tuple(
            Condition(name, "=", tuple(dict.fromkeys(getattr(self, name)))) for name in SCOPED_BY if getattr(self, name)
        )


TokenTables = list[TokenTable]


def digests_of(
    tokens: Sequence[TokenTable], whole: SecretStr | None, environment: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """SHA-256 of each token by its name, and a line for each that is none, or another's too. ``whole``: the token
    that sees everything."""
    digests: dict[str, str] = {}
    problems: list[str] = []
    owners = {} if whole is None else {digest(whole.get_secret_value()): "metrics_token, which sees everything"}
    for index, table in enumerate(tokens):
        what = f"tokens[{index}] ({table.name})"
        found = table.token_sha256
        if table.token is not None:
            found = digest(table.token.get_secret_value())
        elif table.token_env is not None:
            value = environment.get(table.token_env, "").strip()
            if len(value) < _LEAST_CHARS or not value.isascii() or not value.isprintable() or " " in value:
                problems.append(
                    f"{what}: the environment variable {table.token_env} must hold a token of at least "
                    f"{_LEAST_CHARS} printable ASCII characters without spaces"
                )
                continue
            found = digest(value)
        assert found is not None
        if found in owners:
            problems.append(f"{what}: its token is that of {owners[found]}; give each its own")
        owners[found] = f"tokens[{index}] ({table.name})"
        digests[table.name] = found
    return digests, problems


_LEAST_CHARS: Final = 8


def digest(token: str) -> str:
    """By which a token is known."""
    return sha256(token.encode()).hexdigest()
