"""The magic in a real kernel, as nbclient (nbconvert, papermill) runs it."""

import os
from typing import Any

import nbformat
import pytest
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.fake_api import FakeApi, Fault

LOAD = "%load_ext mistral_nb"


class Client(NotebookClient):
    """Runs a notebook, and keeps the messages about displays."""

    def __init__(self, *cells: str) -> None:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        super().__init__(notebook, timeout=120)
        self.updates: list[dict[str, Any]] = []

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "update_display_data":
            self.updates.append(msg["content"])
        return super().process_message(msg, cell, cell_index)

    def outputs(self, number: int) -> list[Any]:
        outputs: list[Any] = self.nb.cells[number].outputs
        return outputs


@pytest.fixture
def hosted(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """Make the fake API the one that the kernel asks."""
    monkeypatch.setenv("MISTRAL_NB_ENDPOINT", api.url)
    monkeypatch.setenv("MISTRAL_API_KEY", api.api_key)
    return api


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Run a cell whose answer comes slowly."""
    client = Client(LOAD, "%%mistral\nHello")
    with FakeApi() as api:
        api.play(Fault(content="**many** words " * 60, bytes_per_second=20_000))
        own = {
            "MISTRAL_NB_ENDPOINT": api.url,
            "MISTRAL_API_KEY": api.api_key,
            "MISTRAL_NB_HOME": str(tmp_path_factory.mktemp("home")),
        }
        client.execute(env=os.environ | own)
    return client


class TestStreaming:
    def test_one_display_is_updated_as_the_answer_grows(self, streamed: Client) -> None:
        sizes = [len(update["data"]["text/plain"]) for update in streamed.updates]

        assert len({update["transient"]["display_id"] for update in streamed.updates}) == 1
        assert len(sizes) >= 4
        assert sizes == sorted(sizes)

    def test_the_notebook_keeps_one_exact_output(self, streamed: Client) -> None:
        (output,) = streamed.outputs(1)

        assert output.data["text/plain"].startswith("**many** words " * 60)
        assert output.data["text/html"].count("<strong>many</strong>") == 60

    def test_the_notebook_keeps_the_facts_in_the_outputs_metadata(self, streamed: Client) -> None:
        (output,) = streamed.outputs(1)

        assert output.metadata["mistral_nb"]["finish_reason"] == "stop"


class TestFailing:
    @pytest.fixture
    def failed(self, hosted: FakeApi) -> Client:
        client = Client(LOAD, "%%mistral -m nosuchmodel\nHello", "reached = True")
        with pytest.raises(CellExecutionError):
            client.execute()
        return client

    def test_the_run_stops_at_a_cell_that_fails(self, failed: Client) -> None:
        assert failed.nb.cells[2].execution_count is None

    def test_the_message_is_short_and_has_a_remedy(self, failed: Client) -> None:
        traceback = "\n".join(failed.outputs(1)[-1].traceback)

        assert len(traceback.splitlines()) < 8
        assert "mistral_nb.models() lists" in traceback

    def test_a_mistyped_line_leaves_an_error_in_the_outputs(self, hosted: FakeApi) -> None:
        """papermill goes by these, not by the kernel's replies."""
        typed = [
            "%%mistral --sesion x\nHello",
            "%%mistral --df nothing\nHello",
            "%mistral modles",
            "%%mistral_fim\nno gap",
        ]
        client = Client(LOAD, *typed)
        client.allow_errors = True
        client.execute()

        assert [client.outputs(number)[-1].get("ename") for number in range(1, 5)] == ["InvalidOption"] * 4


async def completed(client: Client, code: str) -> dict[str, Any]:
    """Return what the kernel replies to Tab at the end of the code."""
    message = await client.kc.complete(code, reply=True, timeout=60)
    content: dict[str, Any] = message["content"]
    return content


def test_tab_is_answered_by_the_kernel(hosted: FakeApi) -> None:
    client = Client(LOAD, "import pandas\nsales = pandas.DataFrame()")
    with client.setup_kernel():
        for number, cell in enumerate(client.nb.cells):
            client.execute_cell(cell, number)
        reply = run_sync(completed)(client, "%%mistral --df sal")

    assert reply["matches"] == ["sales"]
    assert reply["cursor_start"] == len("%%mistral --df ")


def test_the_front_end_is_told_to_make_a_cell_below(hosted: FakeApi) -> None:
    payloads: list[Any] = []
    hosted.play(Fault(content="```python\nx = 1\n```"))
    client = Client(LOAD, "%%mistral --as code\nMake x 1.")
    client.on_cell_executed = lambda cell, cell_index, execute_reply: payloads.extend(
        execute_reply["content"]["payload"]
    )
    client.execute()

    assert payloads == [{"source": "set_next_input", "text": "x = 1", "replace": False}]


def test_an_answer_that_needs_consent_is_denied_without_a_front_end(hosted: FakeApi) -> None:
    tool = '@mistral_nb.tool(confirm=True)\ndef weather(city: str) -> str:\n    """Return the weather."""\n    return "sunny"'
    client = Client(
        LOAD, f"import mistral_nb\n{tool}", "%%mistral --tools weather --out answer\nWhat is the weather in Paris?"
    )
    client.nb.cells.append(nbformat.v4.new_code_cell("answer.steps[0].was_denied"))
    client.execute()

    assert client.outputs(3)[0].data["text/plain"] == "True"
