"""A small real language model on this machine: its weights, its engine, and the server that runs it in a process of its own."""
