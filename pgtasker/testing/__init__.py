"""For tests, of applications and of pgtasker itself: tasks that run at once, handlers that fail.

This module is the table of contents: what it names is public. The fixtures of the pytest plugin are
in `pgtasker.testing.plugin`.
"""

from pgtasker.testing.clock import Clock, install
from pgtasker.testing.drive import TaskStuck
from pgtasker.testing.handlers import ConfigurableFailureHandler, NetworkTimeoutHandler
from pgtasker.testing.inline import inline
from pgtasker.testing.run import run_all, run_task, run_workflow
from pgtasker.testing.shapes import diamond, linear, mixed, parallel_merge, shapes, tree

__all__ = [  # noqa: RUF022 - in the order in which a reader meets them
    # run tasks
    "run_workflow",
    "run_task",
    "run_all",
    "inline",
    "TaskStuck",
    # time
    "install",
    "Clock",
    # handlers that fail
    "ConfigurableFailureHandler",
    "NetworkTimeoutHandler",
    # workflows of five shapes
    "shapes",
    "linear",
    "diamond",
    "parallel_merge",
    "tree",
    "mixed",
]
