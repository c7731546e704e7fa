"""Faults on purpose, and what must be true after each of them.

Each scenario is a function of a seed and a number: short in the suite, long by `make chaos`, which
writes what it measured into docs/reliability.md.
"""
