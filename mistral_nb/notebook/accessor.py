"""``df.mistral`` and ``series.mistral``: a table of contents, no logic, no state.

Promises: importing this module registers both accessors and loads little else than pandas (the engine comes with the first
verb). What a verb does is in `mistral_nb.notebook.verbs`, one file each; other libraries' accessors inherit the table.
"""

import pandas as pd

from mistral_nb.notebook.edge import Verbs
from mistral_nb.notebook.verb_methods import on_frame, on_series
from mistral_nb.notebook.verbs.answer import answer
from mistral_nb.notebook.verbs.ask import ask
from mistral_nb.notebook.verbs.classify import classify
from mistral_nb.notebook.verbs.compare_prices import compare_prices
from mistral_nb.notebook.verbs.embed import embed
from mistral_nb.notebook.verbs.extract import extract
from mistral_nb.notebook.verbs.filter import filter  # noqa: A004  # the verb's name
from mistral_nb.notebook.verbs.fix_grammar import fix_grammar
from mistral_nb.notebook.verbs.mask import mask
from mistral_nb.notebook.verbs.moderate import moderate
from mistral_nb.notebook.verbs.score import score
from mistral_nb.notebook.verbs.search import search
from mistral_nb.notebook.verbs.sentiment import sentiment
from mistral_nb.notebook.verbs.similar import similar
from mistral_nb.notebook.verbs.suggest_schema import suggest_schema
from mistral_nb.notebook.verbs.summarize import summarize
from mistral_nb.notebook.verbs.translate import translate


@pd.api.extensions.register_series_accessor("mistral")
class SeriesVerbs(Verbs):
    """Mistral's verbs on a column of text."""

    answer = on_series(answer)
    ask = on_series(ask)
    classify = on_series(classify)
    compare_prices = on_series(compare_prices)
    embed = on_series(embed)
    extract = on_series(extract)
    filter = on_series(filter)
    fix_grammar = on_series(fix_grammar)
    mask = on_series(mask)
    moderate = on_series(moderate)
    score = on_series(score)
    search = on_series(search)
    sentiment = on_series(sentiment)
    similar = on_series(similar, other_columns=["to"])
    suggest_schema = on_series(suggest_schema)
    summarize = on_series(summarize, other_columns=["by"])
    translate = on_series(translate)


@pd.api.extensions.register_dataframe_accessor("mistral")
class FrameVerbs(Verbs):
    """Mistral's verbs on a frame: each takes the name of the column to read."""

    answer = on_frame(answer)
    ask = on_frame(ask)
    classify = on_frame(classify)
    compare_prices = on_frame(compare_prices)
    embed = on_frame(embed)
    extract = on_frame(extract)
    filter = on_frame(filter)
    fix_grammar = on_frame(fix_grammar)
    mask = on_frame(mask)
    moderate = on_frame(moderate)
    score = on_frame(score)
    search = on_frame(search)
    sentiment = on_frame(sentiment)
    similar = on_frame(similar, other_columns=["to"])
    suggest_schema = on_frame(suggest_schema)
    summarize = on_frame(summarize, other_columns=["by"])
    translate = on_frame(translate)
