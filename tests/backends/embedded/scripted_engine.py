"""An engine that says what the test wrote down, in llama.cpp's chunks."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from mistral_nb.backends.embedded.engine import Traits


class ScriptedEngine:
    """Answers the requests one after the other; an answer is text pieces, or raw chunks, or an exception to raise at its place."""

    def __init__(self, *answers: list[Any], reason: str = "stop", tool_template: bool = False) -> None:
        self.traits = Traits(fill_in_middle=False, tool_template=tool_template)
        self.requests: list[dict[str, Any]] = []
        self._answers = list(answers)
        self._reason = reason

    async def generate(self, handler: str, request: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        self.requests.append({"handler": handler, **request})
        answer = self._answers.pop(0)
        for part in answer:
            if isinstance(part, Exception):
                raise part
            yield part if isinstance(part, dict) else {"choices": [{"index": 0, "delta": {"content": part}}]}
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": self._reason}]}
        yield {"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": len(answer)}}
