"""What would be sent, as text: ``--dry-run`` and ``%mistral fix`` show it.

Promises: every message, tool and schema as it would be sent, and nothing is.
"""

import json

from mistral_nb import catalogue
from mistral_nb.completion import CompletionRequest, TokenUsage
from mistral_nb.engine.session import Session
from mistral_nb.notebook.conversations import SentTurns
from mistral_nb.notebook.footer import cost_text
from mistral_nb.settings import is_local

_MANY = 1_000_000


def dry_run_text(request: CompletionRequest, session: Session, *, turns: SentTurns | None = None) -> str:
    """Return what the request would send, its tokens and its price."""
    facts = {
        "model": f"{request.model} {_where(request.model, session)}",
        "options": _options_text(request),
        "session": "" if turns is None else str(turns).removeprefix("session "),
        "tokens": _tokens_text(request, session),
        "price": _price_text(request, session),
    }
    lines = ["Nothing was sent. This would be:"]
    lines += [f"  {name:<8} {value}" for name, value in facts.items() if value]
    return "\n".join([*lines, "", sent_text(request)])


def sent_text(request: CompletionRequest) -> str:
    """Return the messages, tools and schema of a request, each below a line that says what it is."""
    lines: list[str] = []
    for message in request.messages:
        lines += [f"── {message['role']} ──", _content(message.get("content"))]
        if message.get("tool_calls"):
            lines.append(_json(message["tool_calls"]))
    for tool in request.tools:
        lines += [f"── tool {tool['function']['name']} ──", _json(tool["function"])]
    if request.response_format is not None:
        lines += ["── response_format ──", _json(request.response_format)]
    return "\n".join(lines)


def _where(model: str, session: Session) -> str:
    return "on this machine" if is_local(model) else f"at {session.settings.server_url}"


def _options_text(request: CompletionRequest) -> str:
    body = request.body()
    shown = {
        name: value for name, value in body.items() if name not in ("model", "messages", "tools", "response_format")
    }
    return ", ".join(f"{name} {_json(value)}" for name, value in shown.items())


def _tokens_text(request: CompletionRequest, session: Session) -> str:
    counter = session.token_counter(request.model)
    how = "counted with Mistral's tokenizer" if counter.is_exact else "estimated"
    most = "" if request.max_tokens is None else f", at most {request.max_tokens:,} to write"
    return f"{'' if counter.is_exact else 'about '}{counter.prompt_tokens(request):,} to read ({how}){most}"


def _price_text(request: CompletionRequest, session: Session) -> str:
    read = session.token_counter(request.model).prompt_tokens(request)
    cost = session.cost_usd(request.model, TokenUsage(prompt_tokens=read))
    per_million = session.cost_usd(request.model, TokenUsage(completion_tokens=_MANY))
    if cost is None or per_million is None:
        return cost_text(None)
    if is_local(request.model):
        return "$0 (runs on this machine)"
    if request.max_tokens is None:
        written = f"{cost_text(per_million)} per million tokens written"
    else:
        written = f"at most {cost_text(per_million * request.max_tokens / _MANY)} to write"
    return f"{cost_text(cost)} to read, {written} (prices of {catalogue.load_catalogue().checked})"


def _content(content: object) -> str:
    return content if isinstance(content, str) else _json(content)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
