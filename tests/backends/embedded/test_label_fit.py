"""How a text is cut into parts, and how close it must be to a label."""

from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.backends.embedded.label_fit import MOST_PARTS, least_closeness, parts


def test_sentences_and_lines_are_parts() -> None:
    assert parts("The parcel is late. I want\nmy money back! Thanks a lot") == [
        "The parcel is late.",
        "I want",
        "my money back!",
        "Thanks a lot",
    ]


def test_a_word_alone_belongs_to_what_follows() -> None:
    assert parts("Hello! The parcel is late.") == ["Hello! The parcel is late."]


@given(st.text("ab. !?\n。", max_size=300))
def test_nothing_but_white_space_and_separators_is_lost(text: str) -> None:
    found = parts(text)

    assert 1 <= len(found) <= MOST_PARTS
    assert "".join("".join(found).split()) == "".join(text.split())


def test_longer_names_descriptions_and_more_labels_ask_for_more_closeness() -> None:
    bounds = [
        least_closeness(["billing", "bug"], hinted=[]),
        least_closeness(["billing", "bug"], hinted=[True, True]),
        least_closeness(["late delivery", "wrong bill"], hinted=[]),
        least_closeness(["the delivery is late", "the bill is wrong"], hinted=[]),
        least_closeness(["the delivery is late", "the bill is wrong", "it does not work"], hinted=[]),
    ]

    assert bounds == sorted(set(bounds))
