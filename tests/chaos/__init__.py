"""Faults on purpose, and what must be true after each of them.

Each scenario is a function of a seed and a scale: short in the suite, long by `make chaos`, which
writes bench/results/reliability.md.
"""
