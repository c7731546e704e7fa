"""The rules once more, in Python, and machines that hold the engine against them."""
