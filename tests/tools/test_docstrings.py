import pytest

from mistral_nb.tools.docstrings import described

NUMPY = """Return the weather of a city.

    Asks the nearest station.

    Parameters
    ----------
    city : str, optional
        Where. With a second
        line.
    latitude, longitude
        In degrees.
    when

    Returns
    -------
    str
        Words.
    """

GOOGLE = """Return the weather of a city.

    Asks the nearest station.

    Args:
        city (str, optional): Where. With a second
            line.
        latitude: In degrees: north is positive.
        *rest: More.

    Returns:
        Words: many.
    """


@pytest.mark.parametrize("docstring", [NUMPY, GOOGLE])
def test_the_description_ends_where_the_sections_begin(docstring: str) -> None:
    assert described(docstring).description == "Return the weather of a city.\n\nAsks the nearest station."


def test_numpys_parameters_are_read() -> None:
    assert described(NUMPY).parameters == {
        "city": "Where. With a second line.",
        "latitude": "In degrees.",
        "longitude": "In degrees.",
    }


def test_googles_parameters_are_read() -> None:
    assert described(GOOGLE).parameters == {
        "city": "Where. With a second line.",
        "latitude": "In degrees: north is positive.",
        "rest": "More.",
    }


@pytest.mark.parametrize(
    "docstring",
    [
        None,
        "",
        "One line.",
        "Note: this is one line.",
        "Args:\n\nnot indented",
        "Text\n\nArgs of the function:\n    x: 1",
    ],
)
def test_a_docstring_without_sections_is_all_description(docstring: str | None) -> None:
    assert described(docstring).parameters == {}


def test_a_first_line_that_ends_with_a_colon_is_no_heading() -> None:
    text = "\nDo one of these:\n    add: sums\n    sub: subtracts"

    assert described(text).description == text.strip()


def test_words_in_a_section_that_name_no_parameter_are_left_out() -> None:
    assert described("Do.\n\nArgs:\n    Just words\n    x: A number.").parameters == {"x": "A number."}


def test_a_section_of_another_name_documents_no_parameters() -> None:
    assert described("Do.\n\nRaises:\n    ValueError: If not.").parameters == {}
