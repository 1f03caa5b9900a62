"""What an analyst types, one verb per file: its signature, its docstring, and nothing that both doors would write twice.

Promises: a verb is a function of a column (a parameter named `column`) or of a frame (named `frame`), its own options and
``**options: Unpack[VerbOptions]``; `mistral_nb.notebook.verb_methods` makes the methods of ``series.mistral`` and ``df.mistral`` of
it. Its docstring describes its own parameters; those of every verb are added there. Heavy imports wait for the call.
"""
