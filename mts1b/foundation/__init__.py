"""The nouns every other room speaks in. Standard library only; importing it costs under 10 MB."""
