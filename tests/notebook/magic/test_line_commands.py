import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

import mistral_nb
from mistral_nb import errors
from mistral_nb.completion import Completion
from mistral_nb.notebook.magic import config_command
from tests.fake_api import FakeApi, Fault
from tests.notebook.cells import kept, line, run


def contents(api: FakeApi, number: int = -1) -> list[str]:
    return [message["content"] for message in api.requests[number].body["messages"]]


class TestAsking:
    @pytest.mark.parametrize("typed", ["ask What's up?", "What's up?"])
    def test_a_prompt_on_the_line_is_asked_and_returned(
        self, api: FakeApi, shell: InteractiveShell, typed: str
    ) -> None:
        answer, _ = line(shell, typed)

        assert isinstance(answer, Completion)
        assert answer.text == "Answer to: What's up?"

    @pytest.mark.parametrize("typed", ["-m large ask Hello there", "ask -m large Hello there", "-m large Hello there"])
    def test_options_stand_before_the_prompt(self, api: FakeApi, shell: InteractiveShell, typed: str) -> None:
        line(shell, typed)

        assert (api.requests[0].body["model"], contents(api)) == ("mistral-large-latest", ["Hello there"])

    def test_variables_are_filled_in_and_nothing_is_evaluated(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.user_ns["town"] = "Lyon"
        run(shell, "%mistral ask Where is {town}, and {town + '!'} and $town?")

        assert contents(api) == ["Where is Lyon, and {town + '!'} and $town?"]

    def test_raw_replaces_nothing(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.user_ns["town"] = "Lyon"
        line(shell, "--raw Where is {town}?")

        assert contents(api) == ["Where is {town}?"]

    def test_an_option_can_be_a_variable(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.user_ns |= {"who": "large", "style": "Be brief, please."}
        line(shell, "-m {who} -s {style} Hello there")

        assert (api.requests[0].body["model"], contents(api)[0]) == ("mistral-large-latest", "Be brief, please.")

    def test_a_word_that_is_no_command_is_not_sent(self, api: FakeApi, shell: InteractiveShell) -> None:
        with pytest.raises(errors.InvalidOption, match="Did you mean 'models'") as caught:
            line(shell, "modles")

        assert "%mistral ask modles" in caught.value.remedy
        assert api.requests == []

    def test_a_command_that_takes_nothing_says_how_to_ask_instead(self, api: FakeApi, shell: InteractiveShell) -> None:
        with pytest.raises(errors.InvalidOption, match="%mistral ask models are what"):
            line(shell, "models are what")

    def test_nothing_to_ask_is_said(self, shell: InteractiveShell) -> None:
        with pytest.raises(errors.EmptyPrompt):
            line(shell, "ask")


class TestAssigning:
    @pytest.mark.parametrize(
        "code",
        [
            "answer << %mistral don't be shy",
            "answer = %mistral don't be shy",
            "answer << %mistral ask don't be shy",
            "if True:\n    answer << %mistral don't be shy",
            "x = 1\nanswer << %mistral don't be shy\ny = 2",
            "answer << %mistral don't \\\nbe shy",
        ],
    )
    def test_an_answer_is_assigned(self, api: FakeApi, shell: InteractiveShell, code: str) -> None:
        result, _ = run(shell, code)

        assert result.success
        assert kept(shell).text == "Answer to: don't be shy"

    @pytest.mark.parametrize(
        "code",
        [
            "%mistral ask Is it {shy?",
            "%mistral What is churn?",
            "answer << %mistral What is churn?",
            "answer = %mistral What is churn?",
            "answers = {}\nanswers['churn'] = %mistral What is churn?",
            "for number in range(1):\n    %mistral What is churn?",
            "%mistral What is churn??",
        ],
    )
    def test_a_prompt_may_end_with_a_question_mark(self, api: FakeApi, shell: InteractiveShell, code: str) -> None:
        run(shell, code)

        assert contents(api)[0].endswith("?")

    @pytest.mark.parametrize("code", ["%mistral?", "%mistral??", "%%mistral?"])
    def test_a_question_mark_behind_the_magic_still_shows_its_help(
        self, api: FakeApi, shell: InteractiveShell, code: str
    ) -> None:
        result, _ = run(shell, code)

        assert result.success
        assert api.requests == []

    def test_a_string_that_looks_like_it_is_left_alone(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, 'text = """\nanswer << %mistral hello there\n"""')

        assert shell.user_ns["text"] == "\nanswer << %mistral hello there\n"
        assert api.requests == []

    def test_a_prompt_that_looks_like_it_is_left_alone(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, "%%mistral\nanswer << %mistral hello there")

        assert contents(api) == ["answer << %mistral hello there"]

    def test_a_shift_is_still_a_shift(self, shell: InteractiveShell) -> None:
        run(shell, "mistral = 3\nshifted = 1 << 5 % mistral")

        assert shell.user_ns["shifted"] == 1 << 5 % 3


class TestShowing:
    def shown(self, shell: InteractiveShell, code: str) -> list[dict[str, Any]]:
        with capture_output() as captured:
            shell.run_cell(code, store_history=True)
        return [output.data for output in captured.outputs]

    @pytest.mark.parametrize("code", ["%mistral ask Hello", "answer = %mistral ask Hello\nanswer"])
    def test_an_answer_is_not_shown_twice_by_the_cell_that_asked(
        self, api: FakeApi, notebook: InteractiveShell, code: str
    ) -> None:
        with capture_output() as captured:
            notebook.run_cell(code, store_history=True)

        assert [output.update for output in captured.outputs].count(False) == 1

    def test_an_answer_is_shown_as_one_by_a_later_cell(self, api: FakeApi, notebook: InteractiveShell) -> None:
        self.shown(notebook, "answer = %mistral ask Hello")
        shown = self.shown(notebook, "answer")

        assert shown[0]["text/plain"].startswith("Answer to: Hello\n\nmistral-small-latest · ")
        assert "text/html" in shown[0]


class TestObjects:
    PLAN = "from pydantic import BaseModel\nclass Plan(BaseModel):\n    summary: str\n    steps: list[str]"

    @pytest.fixture
    def planning(self, api: FakeApi, notebook: InteractiveShell) -> InteractiveShell:
        run(notebook, self.PLAN)
        return notebook

    def test_an_object_of_a_class_of_the_notebook_is_kept(self, planning: InteractiveShell) -> None:
        run(planning, "%%mistral --json Plan --out plan\nPlan the week.")

        assert isinstance(planning.user_ns["plan"], planning.user_ns["Plan"])

    def test_an_object_is_assigned(self, planning: InteractiveShell) -> None:
        run(planning, "plan << %mistral --json Plan Plan the week.")

        assert planning.user_ns["plan"].summary == "Plan the week."

    def test_a_list_of_objects_is_asked_for_by_its_class(self, planning: InteractiveShell) -> None:
        run(planning, "%%mistral --json list[Plan] --out plans\nPlan the week.")

        assert all(isinstance(plan, planning.user_ns["Plan"]) for plan in planning.user_ns["plans"])

    def test_it_is_shown_as_json(self, planning: InteractiveShell) -> None:
        with capture_output() as captured:
            planning.run_cell("%%mistral --json Plan\nPlan the week.")

        assert '"summary": "Plan the week."' in captured.outputs[-1].data["text/plain"]

    def test_a_class_that_is_not_there_is_refused_before_anything_is_sent(
        self, api: FakeApi, planning: InteractiveShell
    ) -> None:
        with pytest.raises(errors.InvalidOption, match="Did you mean 'Plan'"):
            line(planning, "--json Plam Plan the week.")
        assert api.requests == []

    def test_an_object_and_tools_together_are_refused(self, planning: InteractiveShell) -> None:
        with pytest.raises(errors.InvalidOption, match="both --json and --tools"):
            line(planning, "--json Plan --tools run Plan the week.")

    @pytest.mark.parametrize(("schema", "kind"), [("int", int), ("list[str]", list)])
    def test_pythons_own_types_will_do(
        self, api: FakeApi, planning: InteractiveShell, schema: str, kind: type[object]
    ) -> None:
        assert isinstance(line(planning, f"--json {schema} How many towns?")[0], kind)

    def test_a_type_and_a_json_schema_of_the_notebook_will_do(self, api: FakeApi, planning: InteractiveShell) -> None:
        planning.user_ns["schema"] = {
            "type": "object",
            "title": "Town",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        }
        run(planning, "from typing import Literal\nTopic = Literal['bug', 'praise']")

        assert line(planning, "--json Topic It crashes, a bug.")[0] in {"bug", "praise"}
        assert line(planning, "--json schema Lyon is a town.")[0].keys() == {"name"}

    def test_an_answer_that_never_fits_fails_the_cell(self, api: FakeApi, planning: InteractiveShell) -> None:
        api.play(Fault(content='{"summary": 1}', times=None))
        result, _ = run(planning, "%%mistral --json Plan\nPlan the week.")

        assert isinstance(result.error_in_exec, errors.InvalidAnswer)


class TestFrames:
    def test_a_frame_is_described_before_the_prompt(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.user_ns["sales"] = pd.DataFrame({"price": [1, 2]})
        line(shell, "--df sales What sells?")

        assert contents(api)[0].startswith("pandas DataFrame `sales`: 2 rows, 1 column")
        assert contents(api)[0].endswith("\n\nWhat sells?")

    def test_a_frame_that_is_not_there_is_refused(self, shell: InteractiveShell) -> None:
        shell.user_ns["sales"] = pd.DataFrame()
        with pytest.raises(errors.InvalidOption, match="Did you mean 'sales'"):
            line(shell, "--df sale What sells?")


class TestDryRun:
    def test_it_sends_nothing(self, api: FakeApi, shell: InteractiveShell) -> None:
        line(shell, "--dry-run Hello there")

        assert api.requests == []

    def test_it_shows_every_message_and_option(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.user_ns["town"] = "Lyon"
        _, printed = line(shell, "--dry-run -m large -t 0.5 -s 'Be brief.' Where is {town}?")

        assert "mistral-large-latest at http" in printed
        assert "temperature 0.5" in printed
        assert printed.endswith("── system ──\nBe brief.\n── user ──\nWhere is Lyon?\n")

    def test_it_counts_tokens_and_price_of_mistrals_own_models(self, shell: InteractiveShell) -> None:
        mistral_nb.configure(api_key="k" * 32)
        _, printed = line(shell, "--dry-run -m small --max-tokens 100 Hello there")

        assert "to read (counted with Mistral's tokenizer), at most 100 to write" in printed
        assert "to read, at most $0.000060 to write (prices of 20" in printed

    def test_the_embedded_model_costs_nothing(self, shell: InteractiveShell) -> None:
        _, printed = line(shell, "--dry-run Hello there")

        assert "model    local-small on this machine" in printed
        assert "price    $0 (runs on this machine)" in printed

    def test_without_max_tokens_the_price_of_writing_is_said(self, shell: InteractiveShell) -> None:
        mistral_nb.configure(api_key="k" * 32)
        _, printed = line(shell, "--dry-run -m small Hello there")

        assert "to read, $0.6000 per million tokens written" in printed

    def test_it_shows_the_tool_calls_of_earlier_turns(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, 'def weather(city: str) -> str:\n    """Return the weather."""\n    return "sunny"')
        line(shell, "--session trip --tools weather What is the weather in Paris?")
        _, printed = line(shell, "--session trip --dry-run And then?")

        assert '"name": "weather"' in printed.split("── assistant ──")[1]

    def test_it_shows_the_schema(self, api: FakeApi, shell: InteractiveShell) -> None:
        run(shell, TestObjects.PLAN)
        _, printed = line(shell, "--dry-run --json Plan Plan the week.")

        assert '"json_schema"' in printed.split("── response_format ──")[1]

    def test_it_shows_the_tools(self, api: FakeApi, shell: InteractiveShell) -> None:
        shell.user_ns["sales"] = pd.DataFrame({"price": [1, 2]})
        _, printed = line(shell, "--dry-run --tools sales What sells?")

        assert "── tool sales_describe ──" in printed


class TestModels:
    def test_they_are_those_of_the_function(self, api: FakeApi, shell: InteractiveShell) -> None:
        table, _ = line(shell, "models")

        pd.testing.assert_frame_equal(table, mistral_nb.models())


class TestDoctor:
    def test_it_prints_the_report(self, api: FakeApi, shell: InteractiveShell) -> None:
        printed = line(shell, "doctor")[1]

        assert f"{api.url} (your own endpoint) answers" in printed

    def test_it_prints_json_where_that_is_asked_for(self, api: FakeApi, shell: InteractiveShell) -> None:
        assert json.loads(line(shell, "doctor --json")[1])["findings"][0]["name"] == "Python"

    def test_it_takes_nothing_else(self, shell: InteractiveShell) -> None:
        with pytest.raises(errors.InvalidOption, match="takes nothing"):
            line(shell, "doctor now")


class TestConfig:
    def test_it_shows_settings_and_where_they_are_from(
        self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MISTRAL_NB_REGION", "eu")

        assert "region                  eu" in line(shell, "config")[1]
        assert "(MISTRAL_NB_REGION)" in line(shell, "config")[1]

    def test_it_sets_for_this_kernel(self, shell: InteractiveShell) -> None:
        line(shell, "config region=us max_concurrency=8")
        settings = mistral_nb.session().settings

        assert (settings.region, settings.max_concurrency) == ("us", 8)

    def test_an_empty_value_forgets(self, shell: InteractiveShell) -> None:
        line(shell, "config region=us")
        line(shell, "config region=")

        assert mistral_nb.session().settings.region == "global"

    def test_a_path_may_have_spaces(self, shell: InteractiveShell, tmp_path: Path) -> None:
        line(shell, f"config 'home={tmp_path}/my home'")

        assert mistral_nb.session().settings.home == tmp_path / "my home"

    def test_of_the_key_only_four_characters_are_shown(self, shell: InteractiveShell) -> None:
        mistral_nb.configure(api_key="secret-secret-1234")
        _, printed = line(shell, "config")

        assert "…1234" in printed
        assert "secret" not in printed

    def test_a_key_is_not_taken_from_the_cell(self, shell: InteractiveShell) -> None:
        result, printed = run(shell, "%mistral config api_key=secret-secret-1234")

        assert isinstance(result.error_in_exec, errors.InvalidOption)
        assert "saved with the notebook" in printed

    def test_the_key_is_asked_for_without_showing_it(
        self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(config_command.getpass, "getpass", lambda prompt: " secret-secret-1234 ")
        line(shell, "config api_key")
        key = mistral_nb.session().settings.api_key

        assert key is not None
        assert key.reveal() == "secret-secret-1234"

    def test_where_nobody_can_be_asked_it_says_what_to_do(
        self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def nobody(prompt: str) -> str:
            raise EOFError

        monkeypatch.setattr(config_command.getpass, "getpass", nobody)
        with pytest.raises(errors.InvalidOption, match="nobody here to ask"):
            line(shell, "config api_key")

    def test_no_key_typed_changes_nothing(self, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(config_command.getpass, "getpass", lambda prompt: "  ")
        with pytest.raises(errors.InvalidOption, match="nothing has changed"):
            line(shell, "config api_key")

    @pytest.mark.parametrize(("typed", "said"), [("modell=x", "Did you mean 'model'"), ("region", "Give one")])
    def test_what_is_no_setting_is_refused(self, shell: InteractiveShell, typed: str, said: str) -> None:
        with pytest.raises(errors.InvalidOption, match=said):
            line(shell, f"config {typed}")


class TestCode:
    ANSWER = "Like this:\n```python\nx = 1\n```"

    def test_the_code_of_an_answer_goes_into_a_cell_below_and_is_not_run(
        self, api: FakeApi, notebook: InteractiveShell
    ) -> None:
        api.play(Fault(content=self.ANSWER))
        run(notebook, "%%mistral --as code\nMake x 1.")

        assert notebook.rl_next_input == "x = 1"
        assert "x" not in notebook.user_ns

    def test_the_model_is_told_to_answer_with_code(self, api: FakeApi, notebook: InteractiveShell) -> None:
        run(notebook, "%%mistral --as code -s 'Use polars.'\nMake x 1.")

        assert (
            contents(api)[0] == "Use polars.\n\nAnswer with Python code for a notebook cell, in one fenced code block."
        )

    def test_an_answer_without_code_says_so(self, api: FakeApi, notebook: InteractiveShell) -> None:
        _, printed = run(notebook, "%%mistral --as code\nMake x 1.")

        assert printed == "There is no Python code in the answer, so there is no new cell.\n"

    def test_the_last_answers_code_is_inserted_later(self, api: FakeApi, notebook: InteractiveShell) -> None:
        api.play(Fault(content=self.ANSWER))
        run(notebook, "%%mistral\nMake x 1.")
        run(notebook, "%mistral insert")

        assert notebook.rl_next_input == "x = 1"

    def test_there_is_nothing_to_insert_before_the_first_answer(self, shell: InteractiveShell) -> None:
        with pytest.raises(errors.InvalidOption, match="no answer yet"):
            line(shell, "insert")
