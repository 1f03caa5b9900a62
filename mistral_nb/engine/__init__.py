"""Many requests: once each, in order, with a bill."""
