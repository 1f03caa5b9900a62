"""What was said as text that needs no kernel and no script: HTML for an output, and Markdown.

Keeps to itself: the styles of a transcript, and how it makes room for the live panel and takes its place.
Promises: HTML as safe as an answer's (see `mistral_nb.notebook.display`); a turn that has not changed is not rendered again.
"""

import json
from collections.abc import Sequence
from html import escape

from mistral_nb.completion import JsonObject
from mistral_nb.notebook.chat.turns import ChatTurn
from mistral_nb.notebook.display import MimeBundle, answer_html, markdown_html, styled, without_controls

EMPTY = "Nothing was asked yet."

_STYLE = """<style>
.mistral-nb .question {white-space: pre-wrap; font-weight: 600; margin: 1em 0 .25em; padding-left: .5em;
  border-left: 4px solid var(--jp-brand-color1, #1976d2);}
/* Where there is no live panel (its kernel has ended), the line that says so makes room for the transcript. */
.jp-OutputArea-child:has(+ .jp-OutputArea-child .mistral-nb-transcript):not(:has(.mistral-chat)) {display: none;}
</style>"""


class Transcript:
    """The transcript of one panel, as the output below it.

    Parameters
    ----------
    name
        A class name that only this panel's transcript has: the live panel hides it by that.

    Attributes
    ----------
    revision
        Rises with every change.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.revision = 0
        self._rendered: dict[int, tuple[ChatTurn, str]] = {}

    @property
    def mark(self) -> JsonObject:
        """How a page finds the output, and sees whether it is the latest."""
        return {"name": self.name, "revision": f"mistral-nb-revision-{self.revision}"}

    def bundle(self, turns: Sequence[ChatTurn]) -> MimeBundle:
        """Return the MIME bundle that shows the turns, under a new revision where they are not those of before."""
        if [turn for turn, _ in self._rendered.values()] != list(turns):
            self.revision += 1
        kept = {turn.id: (turn, self._html(turn)) for turn in turns}
        self._rendered = kept
        html = "".join(rendered for _, rendered in kept.values()) or f"<p>{EMPTY}</p>"
        return {
            "text/html": _STYLE + styled(html, classes=f"mistral-nb-transcript {self.name} {self.mark['revision']}"),
            "text/plain": without_controls(transcript_markdown(turns)) or EMPTY,
        }

    def _html(self, turn: ChatTurn) -> str:
        known = self._rendered.get(turn.id)
        return known[1] if known is not None and known[0] is turn else turn_html(turn)


def transcript_html(turns: Sequence[ChatTurn]) -> str:
    """Return the turns as HTML with its styles."""
    return _STYLE + styled("".join(map(turn_html, turns)))


def turn_html(turn: ChatTurn) -> str:
    """Return a question and its answer as HTML that can't act."""
    images = "".join(f'<p class="note">{escape(line)}</p>' for line in _image_lines(turn))
    answer = answer_html(markdown_html(turn.text), note=note_of(turn), footer=turn.footer, steps=step_lines(turn))
    return f'<div class="question">{escape(turn.question)}</div>{images}{answer}'


def transcript_markdown(turns: Sequence[ChatTurn]) -> str:
    """Return the turns as Markdown, the answers as the models wrote them."""
    return "\n\n---\n\n".join(map(turn_markdown, turns))


def turn_markdown(turn: ChatTurn) -> str:
    """Return a question and its answer as Markdown."""
    question = "\n".join(f"> {line}" for line in [*turn.question.splitlines(), *_image_lines(turn)])
    steps = "\n".join(f"- `{line.replace('`', 'ˋ')}`" for line in step_lines(turn))
    note = note_of(turn)
    parts = (question, steps, turn.text, f"**{note}**" if note else "", f"*{turn.footer}*" if turn.footer else "")
    return "\n\n".join(part for part in parts if part)


def note_of(turn: ChatTurn) -> str:
    """Return what the reader must know of how the turn ended."""
    if turn.error is not None:
        return f"{type(turn.error).__name__}: {turn.error.problem} {turn.error.remedy}".strip()
    return turn.note


def step_lines(turn: ChatTurn) -> list[str]:
    """Return a line for each call that was made."""
    return [str(step) for step in turn.steps]


def json_text(turns: Sequence[ChatTurn], messages: Sequence[object]) -> str:
    """Return everything that is known of the turns as JSON, and the messages as the API takes them."""
    return json.dumps(
        {"format": "mistral_nb chat 1", "turns": [_record(turn) for turn in turns], "messages": messages},
        ensure_ascii=False,
        indent=1,
        default=str,
    )


def _record(turn: ChatTurn) -> dict[str, object]:
    usage = None if turn.completion is None else turn.completion.usage
    return {
        **turn.as_json(),
        "text": turn.text,
        "cost_usd": None if turn.cost_usd is None else f"{turn.cost_usd:f}",
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
        "finish_reason": None if turn.completion is None else turn.completion.finish_reason,
        "seconds": None if turn.completion is None else round(turn.completion.latency_seconds, 3),
    }


def _image_lines(turn: ChatTurn) -> list[str]:
    return [f"[image: {image.name}, {len(image.content):,} bytes]" for image in turn.images]
