"""The chat panel: a conversation beside the data.

Promises: `panel` is the widget and the only module that knows ipywidgets; what is said, sent, spent and shown is decided in the
others, which need no front end.
"""
