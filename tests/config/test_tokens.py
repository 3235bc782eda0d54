"""The tables ``[[tokens]]`` and ``[[budgets]]``: what may stand there, and the line for what may not."""

from hashlib import sha256
from pathlib import Path

import pytest

from llm_metrics_proxy.config.faults import shown
from llm_metrics_proxy.config.sources import load
from llm_metrics_proxy.config.table import rows
from llm_metrics_proxy.errors import SettingsError
from llm_metrics_proxy.processes.options import budget_rules, metrics_options, read_tokens
from llm_metrics_proxy.processes.reload import fixed_settings

HEAD = "metrics_token = 'sees-everything'\n"
TOKEN = "[[tokens]]\nname = 'anna'\ntoken = 'secret-of-anna'\nuser = 'anna'\n"
BUDGET = "[[budgets]]\nname = 'b'\nusd = 5\n"


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (HEAD + TOKEN.replace("user = 'anna'", ""), "tokens[0] (FILE line 2): say what it sees, by one or several of"),
        (HEAD + TOKEN + "token_env = 'X'", "tokens[0] (FILE line 2): give token, token_env or token_sha256, one of"),
        (HEAD + TOKEN.replace("secret-of-anna", "short"), "tokens[0].token = *** (FILE line 4): must be at least 8"),
        (HEAD + TOKEN.replace("user = 'anna'", "tag = 'red'"), "tokens[0] (FILE line 2): 'red' is not a tag"),
        (HEAD + TOKEN + "users = 'x'", "tokens[0].users (FILE line 6): is not a key of a token; did you mean user?"),
        (HEAD + TOKEN.replace("secret-of-anna", "sees-everything"), "tokens[0] (anna): its token is that of metrics_t"),
        (
            HEAD + TOKEN + TOKEN.replace("'anna'\nt", "'ben'\nt"),
            "tokens[1] (ben): its token is that of tokens[0] (anna)",
        ),
        (HEAD + TOKEN.replace("token = 'secret-of-anna'", "token_env = 'GONE'"), "tokens[0] (anna): the environment"),
        (TOKEN, "tokens = anna (FILE line 1, key tokens): each see some records, and without metrics_token"),
        ("[[budgets]]\nname = 'b'", "budgets[0] (FILE line 1): give usd or tokens, one of them"),
        (BUDGET + "tokens = 5", "budgets[0] (FILE line 1): give usd or tokens, one of them"),
        (BUDGET + "per = 'year'", "budgets[0].per = 'year' (FILE line 4): must be day, week or month"),
        (BUDGET + "each = 'color'", "budgets[0].each = 'color' (FILE line 4): budgets cannot be kept for each of that"),
        (BUDGET + "timezone = 'Mars'", "budgets[0].timezone = 'Mars' (FILE line 4): "),
        (BUDGET + "warn = [0]", "budgets[0].warn = [0] (FILE line 4): must be a list of up to 10 whole numbers"),
        (BUDGET + BUDGET, "budgets = b, b (FILE line 1, key budgets): two are named 'b': a name is for one"),
        (
            "[[alerts]]\nname = 'a'\nmetric = 'limit_left_ratio'\nthreshold = 0.1\nmodel = 'x'",
            "alerts[0] (FILE line 1): limits have no model: choose them by backend_name, api_key_id",
        ),
    ],
)
def test_each_mistake_is_told_with_its_line_and_without_the_token(tmp_path: Path, toml: str, problem: str) -> None:
    file = tmp_path / "f.toml"
    file.write_text(toml)
    with pytest.raises(SettingsError) as refused:
        load({}, {}, file)
    (line,) = refused.value.problems
    assert line.replace(str(file), "FILE").startswith(problem)
    assert "secret-of-anna" not in line


@pytest.mark.parametrize("given", ["token = 'secret-of-anna'", "token_env = 'ANNA'", "token_sha256 = '{}'"])
def test_a_token_is_known_by_its_digest_however_it_is_given(tmp_path: Path, given: str) -> None:
    digest = sha256(b"secret-of-anna").hexdigest()
    file = tmp_path / "f.toml"
    text = TOKEN.replace("token = 'secret-of-anna'", given.format(digest)).replace(
        "user = 'anna'", "user = ['anna', 'a']"
    )
    file.write_text(HEAD + text + "app = 'Codex'\n")
    loaded = load({}, {"ANNA": "secret-of-anna"}, file)
    (token,) = read_tokens(loaded)
    assert (token.name, token.sha256) == ("anna", digest)
    assert [str(one) for one in token.conditions] == ["user=anna,a", "app=Codex"]
    assert shown(rows()["tokens"], loaded.settings.tokens) == "anna"
    options = metrics_options(loaded, backend="", listen_fds=[], scoreboard_fd=None)
    assert "secret-of-anna" not in str(options)
    assert "tokens" not in fixed_settings(loaded.settings)


def test_a_budget_becomes_a_rule(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_text(BUDGET + "each = 'tag:team'\nper = 'week'\nwarn = [100, 50, 50]\nuser = 'anna'\n")
    (rule,) = budget_rules(load({}, {}, file).settings.budgets)
    assert (rule.limit, rule.unit, rule.per, rule.each, rule.levels) == (5.0, "USD", "week", "tag:team", (0.5, 1.0))
    assert rule.about.user == "anna"
