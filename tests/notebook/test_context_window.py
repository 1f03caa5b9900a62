import pytest

import mistral_nb
from mistral_nb.notebook.context_window import window_tokens
from tests.fake_api import FakeApi


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("mistral-small-latest", 262_144), ("local-tiny", 8_192), ("my/model.gguf", 8_192), ("x", None)],
)
def test_the_window_is_published_or_our_own(model: str, tokens: int | None) -> None:
    mistral_nb.configure(api_key="k" * 32)

    assert window_tokens(model, mistral_nb.session()) == tokens


def test_of_another_server_nothing_is_known(api: FakeApi) -> None:
    assert window_tokens("mistral-small-latest", mistral_nb.session()) is None
