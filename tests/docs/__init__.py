"""The documents, followed word by word, and the examples they show."""
