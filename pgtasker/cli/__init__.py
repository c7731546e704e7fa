"""The command line: `pgtasker VERB`, grouped as `pgtasker --help` shows it.

Responsible for the list of commands. What they share is in `base`, how they print in `output`.
"""

from pgtasker.cli import insights, install, look, operate, run, show, work
from pgtasker.cli.base import group
from pgtasker.cli.completion import completion
from pgtasker.cli.demo import demo
from pgtasker.cli.diagram import diagram
from pgtasker.cli.doctor import doctor
from pgtasker.cli.metrics import metrics
from pgtasker.cli.purge import purge
from pgtasker.cli.server import server
from pgtasker.cli.top import top

for command in (
    demo,
    *install.COMMANDS,
    doctor,
    *work.COMMANDS,
    *run.COMMANDS,
    look.list_tasks,
    show.show,
    look.why,
    diagram,
    *insights.COMMANDS,
    top,
    metrics,
    *operate.COMMANDS,
    purge,
    server,
    completion,
):
    group.add_command(command)

main = group

__all__ = ["main"]
