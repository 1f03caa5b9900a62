import asyncio
import functools
import inspect
from typing import Any

import pytest

import mistral_nb
from mistral_nb.errors import InvalidOption
from mistral_nb.tools.function_tool import Tool, tools_by_name


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    return f"rain in {city}"


def test_a_decorated_function_is_the_same_function() -> None:
    assert mistral_nb.tool(weather) is weather


def test_a_decorated_async_function_stays_async() -> None:
    @mistral_nb.tool
    async def later(city: str) -> str:
        return city

    assert inspect.iscoroutinefunction(later)
    assert asyncio.run(later("Rome")) == "Rome"


def test_options_are_kept_with_the_function() -> None:
    @mistral_nb.tool(name="rain", description="Is it wet?", confirm=True, max_result_tokens=7)
    def forecast(city: str) -> str:
        return city

    tool = Tool.of(forecast)
    assert (tool.name, tool.description, tool.needs_confirmation, tool.max_result_tokens) == (
        "rain",
        "Is it wet?",
        True,
        7,
    )


def test_a_plain_function_is_a_tool_too() -> None:
    assert tools_by_name([weather])["weather"].description == "Tell the weather."


def test_a_method_is_a_tool_of_its_object() -> None:
    class Station:
        def __init__(self, city: str) -> None:
            self.city = city

        @mistral_nb.tool(name="rain", confirm=True)
        def weather(self, day: str) -> str:
            return f"{self.city} {day}"

    tool = Tool.of(Station("Rome").weather)

    assert (tool.name, tool.needs_confirmation, list(tool.accepts.schema["properties"])) == ("rain", True, ["day"])
    assert tool.call('{"day": "Monday"}') == "Rome Monday"


def test_an_object_that_can_be_called_is_a_tool_of_its_class_name() -> None:
    class Weather:
        """Tell the weather."""

        def __call__(self, city: str) -> str:
            return city

    tool = Tool.of(Weather())

    assert (tool.name, tool.description, tool.call('{"city": "Rome"}')) == ("Weather", "Tell the weather.", "Rome")


def test_a_partial_keeps_the_options_of_its_function() -> None:
    @mistral_nb.tool(confirm=True)
    def query(text: str, database: str) -> str:
        return database + text

    assert Tool.of(functools.partial(query, database="db")).needs_confirmation


def test_lists_of_tools_are_laid_out_in_order() -> None:
    def first() -> None: ...
    def second() -> None: ...
    def third() -> None: ...

    assert list(tools_by_name([first, (Tool.of(second), [third])])) == ["first", "second", "third"]


def test_a_single_function_is_a_list_of_one() -> None:
    assert list(tools_by_name(weather)) == list(tools_by_name(Tool.of(weather))) == ["weather"]


@pytest.mark.parametrize("tools", ["weather", b"weather", 3, None, {"weather": weather}, [3], [[None]]])
def test_what_is_no_tool_is_refused(tools: Any) -> None:
    with pytest.raises(InvalidOption, match="is no tool"):
        tools_by_name(tools)


def test_only_what_can_be_called_is_a_tool() -> None:
    with pytest.raises(InvalidOption, match="3 is no tool"):
        Tool.of(3)  # type: ignore[arg-type]


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidOption, match="Two tools have the name 'weather'"):
        tools_by_name([weather, weather])


def test_a_name_that_the_api_does_not_take_is_refused() -> None:
    with pytest.raises(InvalidOption, match="<lambda>"):
        Tool.of(lambda: None)


@pytest.mark.parametrize("name", ["", "größe", "a b", "x" * 65, "weather\n"])
def test_a_given_name_is_checked_too(name: str) -> None:
    with pytest.raises(InvalidOption, match="can't have the name"):
        mistral_nb.tool(name=name)(weather)


def test_a_function_that_can_be_no_tool_is_refused_when_it_is_decorated() -> None:
    with pytest.raises(InvalidOption, match=r"takes \*cities"):

        @mistral_nb.tool
        def many(*cities: str) -> None: ...


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidOption, match="no option 'confrim'"):
        mistral_nb.tool(confrim=True)  # type: ignore[call-overload]


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InvalidOption, match="max_result_tokens is 0"):
        mistral_nb.tool(max_result_tokens=0)(weather)


def test_what_can_not_be_marked_is_refused() -> None:
    class Station:
        def weather(self, day: str) -> str:
            return day

    with pytest.raises(InvalidOption, match="can't be marked"):
        mistral_nb.tool(confirm=True)(Station().weather)


def test_a_tool_shows_its_name_and_parameters() -> None:
    assert repr(Tool.of(weather)) == "Tool(weather: city)"
