"""Hidden by the other of the same name."""

WHOSE = "the second's"
