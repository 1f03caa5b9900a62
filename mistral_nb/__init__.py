"""Mistral's models for data analysts in Jupyter: ``%%mistral``, ``df.mistral`` and one session behind them.

Promises: importing this registers the pandas accessors and imports neither the SDK nor the embedded engine; other names are
loaded when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mistral_nb.notebook import accessor as _accessor  # noqa: F401  # registers df.mistral and series.mistral

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mistral_nb import errors
    from mistral_nb.completion import Completion, CompletionRequest, Delta, TokenUsage
    from mistral_nb.engine.alerts import ErrorRateWarning, SlowModelWarning
    from mistral_nb.engine.cache import CacheInfo
    from mistral_nb.engine.current import cache_info, clear_cache, clear_usage, jobs
    from mistral_nb.engine.current import current_session as session
    from mistral_nb.engine.events import on_event
    from mistral_nb.engine.receipt import Receipt
    from mistral_nb.engine.request_record import RequestRecord
    from mistral_nb.engine.retirement import RetirementWarning
    from mistral_nb.engine.rows_run import BackgroundRun
    from mistral_nb.engine.session import Session
    from mistral_nb.engine.spending import Spending, spend
    from mistral_nb.evaluation.agreement import Evaluation, evaluate
    from mistral_nb.evaluation.comparison import Comparison, compare
    from mistral_nb.evaluation.prompt_diff import PromptDiff, prompt_diff
    from mistral_nb.extraction import extract
    from mistral_nb.notebook.batch_job import BatchJob
    from mistral_nb.notebook.chat.panel import ChatPanel, chat
    from mistral_nb.notebook.chat.turns import ChatTurn
    from mistral_nb.notebook.grounded_answer import GroundedAnswer
    from mistral_nb.notebook.job_notices import PendingRowsWarning, UnfetchedJobsWarning
    from mistral_nb.notebook.model_table import models
    from mistral_nb.notebook.progress import FailedRowsWarning
    from mistral_nb.notebook.usage import Usage, usage
    from mistral_nb.price_list import prices
    from mistral_nb.samples import load_sample
    from mistral_nb.settings import configure
    from mistral_nb.streaming.parquet import StreamedParquet, stream_parquet
    from mistral_nb.tools.conversation import chat_with_tools
    from mistral_nb.tools.frame_tools import frame_tools
    from mistral_nb.tools.function_tool import Tool, tool
    from mistral_nb.tools.records import ToolAnswer, ToolStep

__version__ = "0.1.0"

__all__ = [
    "BackgroundRun",
    "BatchJob",
    "CacheInfo",
    "ChatPanel",
    "ChatTurn",
    "Comparison",
    "Completion",
    "CompletionRequest",
    "Delta",
    "ErrorRateWarning",
    "Evaluation",
    "FailedRowsWarning",
    "GroundedAnswer",
    "PendingRowsWarning",
    "PromptDiff",
    "Receipt",
    "RequestRecord",
    "RetirementWarning",
    "Session",
    "SlowModelWarning",
    "Spending",
    "StreamedParquet",
    "TokenUsage",
    "Tool",
    "ToolAnswer",
    "ToolStep",
    "UnfetchedJobsWarning",
    "Usage",
    "cache_info",
    "chat",
    "chat_with_tools",
    "clear_cache",
    "clear_usage",
    "compare",
    "configure",
    "errors",
    "evaluate",
    "extract",
    "frame_tools",
    "jobs",
    "load_sample",
    "models",
    "on_event",
    "prices",
    "prompt_diff",
    "session",
    "spend",
    "stream_parquet",
    "tool",
    "usage",
]

_HOMES = {
    "BackgroundRun": ("mistral_nb.engine.rows_run", "BackgroundRun"),
    "BatchJob": ("mistral_nb.notebook.batch_job", "BatchJob"),
    "CacheInfo": ("mistral_nb.engine.cache", "CacheInfo"),
    "ChatPanel": ("mistral_nb.notebook.chat.panel", "ChatPanel"),
    "ChatTurn": ("mistral_nb.notebook.chat.turns", "ChatTurn"),
    "Comparison": ("mistral_nb.evaluation.comparison", "Comparison"),
    "Completion": ("mistral_nb.completion", "Completion"),
    "CompletionRequest": ("mistral_nb.completion", "CompletionRequest"),
    "Delta": ("mistral_nb.completion", "Delta"),
    "ErrorRateWarning": ("mistral_nb.engine.alerts", "ErrorRateWarning"),
    "Evaluation": ("mistral_nb.evaluation.agreement", "Evaluation"),
    "FailedRowsWarning": ("mistral_nb.notebook.progress", "FailedRowsWarning"),
    "GroundedAnswer": ("mistral_nb.notebook.grounded_answer", "GroundedAnswer"),
    "PendingRowsWarning": ("mistral_nb.notebook.job_notices", "PendingRowsWarning"),
    "PromptDiff": ("mistral_nb.evaluation.prompt_diff", "PromptDiff"),
    "Receipt": ("mistral_nb.engine.receipt", "Receipt"),
    "RequestRecord": ("mistral_nb.engine.request_record", "RequestRecord"),
    "RetirementWarning": ("mistral_nb.engine.retirement", "RetirementWarning"),
    "Session": ("mistral_nb.engine.session", "Session"),
    "SlowModelWarning": ("mistral_nb.engine.alerts", "SlowModelWarning"),
    "Spending": ("mistral_nb.engine.spending", "Spending"),
    "StreamedParquet": ("mistral_nb.streaming.parquet", "StreamedParquet"),
    "TokenUsage": ("mistral_nb.completion", "TokenUsage"),
    "Tool": ("mistral_nb.tools.function_tool", "Tool"),
    "ToolAnswer": ("mistral_nb.tools.records", "ToolAnswer"),
    "ToolStep": ("mistral_nb.tools.records", "ToolStep"),
    "UnfetchedJobsWarning": ("mistral_nb.notebook.job_notices", "UnfetchedJobsWarning"),
    "Usage": ("mistral_nb.notebook.usage", "Usage"),
    "cache_info": ("mistral_nb.engine.current", "cache_info"),
    "chat": ("mistral_nb.notebook.chat.panel", "chat"),
    "chat_with_tools": ("mistral_nb.tools.conversation", "chat_with_tools"),
    "clear_cache": ("mistral_nb.engine.current", "clear_cache"),
    "clear_usage": ("mistral_nb.engine.current", "clear_usage"),
    "compare": ("mistral_nb.evaluation.comparison", "compare"),
    "configure": ("mistral_nb.settings", "configure"),
    "evaluate": ("mistral_nb.evaluation.agreement", "evaluate"),
    "extract": ("mistral_nb.extraction", "extract"),
    "frame_tools": ("mistral_nb.tools.frame_tools", "frame_tools"),
    "jobs": ("mistral_nb.engine.current", "jobs"),
    "load_sample": ("mistral_nb.samples", "load_sample"),
    "models": ("mistral_nb.notebook.model_table", "models"),
    "on_event": ("mistral_nb.engine.events", "on_event"),
    "prices": ("mistral_nb.price_list", "prices"),
    "prompt_diff": ("mistral_nb.evaluation.prompt_diff", "prompt_diff"),
    "session": ("mistral_nb.engine.current", "current_session"),
    "spend": ("mistral_nb.engine.spending", "spend"),
    "stream_parquet": ("mistral_nb.streaming.parquet", "stream_parquet"),
    "tool": ("mistral_nb.tools.function_tool", "tool"),
    "usage": ("mistral_nb.notebook.usage", "usage"),
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("mistral_nb.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'mistral_nb' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


def load_ipython_extension(shell: "InteractiveShell") -> None:
    """Register ``%%mistral`` and say which model answers (``%load_ext mistral_nb``)."""
    from mistral_nb.notebook.magic.magics import register

    register(shell)
