"""The hands: claims steps, executes their handlers, reports how they ended. Knows no graph."""

from pgtasker.runner.runner import Runner
from pgtasker.runner.step import AsyncStep, Step

__all__ = ["AsyncStep", "Runner", "Step"]
