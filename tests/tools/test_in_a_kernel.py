"""Tools in a real kernel: who is asked, and where what they print goes."""

from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.fake_api import FakeApi

CELL = """
import mistral_nb

@mistral_nb.tool(confirm=True)
def close_account(id: str) -> str:
    print("closing", id)
    return f"closed {id}"

mistral_nb.configure(endpoint=%r, api_key=%r)
answer = mistral_nb.chat_with_tools("close_account, id: 42", tools=[close_account])
print(answer.steps[0].result)
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel()
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.mark.parametrize(
    ("answer", "printed"),
    [
        ("y", "closing 42\nclosed 42\n"),
        ("n", "Error: Denied: The person whose notebook this is did not allow the call.\n"),
    ],
)
def test_the_person_at_the_notebook_is_asked(
    api: FakeApi, kernel: BlockingKernelClient, answer: str, printed: str
) -> None:
    prompts: list[str] = []
    outputs: list[str] = []

    def asked(message: dict[str, Any]) -> None:
        prompts.append(message["content"]["prompt"])
        kernel.input(answer)

    def shown(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            outputs.append(message["content"]["text"])

    kernel.execute_interactive(
        CELL % (api.url, api.api_key), allow_stdin=True, stdin_hook=asked, output_hook=shown, timeout=120
    )

    assert prompts == ['Run close_account(id="42")? [y/N] ']
    assert "".join(outputs) == printed


def test_a_front_end_without_input_is_not_asked(api: FakeApi, kernel: BlockingKernelClient) -> None:
    outputs: list[str] = []

    def shown(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            outputs.append(message["content"]["text"])

    kernel.execute_interactive(CELL % (api.url, api.api_key), allow_stdin=False, output_hook=shown, timeout=120)

    assert "nobody to ask" in "".join(outputs)
