"""One request in, one completion out: who answers is known here and nowhere above.

Keeps to itself: how each of the two answers is reached, Mistral's hosted API (`hosted`) and the embedded model (`embedded`).
Promises: both keep the protocol `Backend` (`backend`), and importing this folder imports neither the SDK nor an engine.
"""
