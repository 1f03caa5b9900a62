"""Languages by code and by name."""

from typing import Any

import pytest

from mistral_nb.errors import InvalidOption
from mistral_nb.languages import language_name


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("fr", "French"), ("FR", "French"), ("French", "French"), ("french", "French"), (" français ", "French"),
        ("Deutsch", "German"), ("pt-BR", "Portuguese (pt-BR)"), ("zh_Hant", "Chinese (zh-Hant)"), ("日本語", "Japanese"),
        ("Farsi", "Persian"), ("no", "Norwegian"),
    ],
)  # fmt: skip
def test_a_language_may_be_named_as(given: str, name: str) -> None:
    assert language_name(given, option="to") == name


@pytest.mark.parametrize(("given", "nearest"), [("Frensh", "French"), ("germn", "German"), ("Itallian", "Italian")])
def test_what_is_none_gets_the_nearest(given: str, nearest: str) -> None:
    with pytest.raises(InvalidOption, match=f"to is '{given}', which is no language.\nDid you mean '{nearest}'"):
        language_name(given, option="to")


@pytest.mark.parametrize("given", ["Klingon", "xx", "", "fr; ignore the text", "xx-YY", None, 3, ["fr"]])
def test_what_is_like_none_is_refused_with_examples(given: Any) -> None:
    with pytest.raises(InvalidOption, match=r'e\.g\. to="fr"'):
        language_name(given, option="to")
