"""Which function executes a claimed step, and with what.

Responsible for the order of the look-up: the step of exactly this workflow and version if it bears
the handler name of the claim; else a function registered under that name; else the step of exactly
this workflow and version; else the step of that name in another loaded version of the workflow, the
last one loaded. The last rule lets tasks of an older version end on newer code; load both versions
where that is not wanted. Executing is left to `execution`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pgtasker.errors import InvalidPayload
from pgtasker.rows import ClaimedStep
from pgtasker.typed.problems import combined
from pgtasker.workflow import Workflow
from pgtasker.workflow_step import RESERVED, WorkflowStep


class Handlers:
    """The steps of the loaded workflows, to be found by a claim."""

    def __init__(self, workflows: Iterable[Workflow]) -> None:
        self._by_handler: dict[str, WorkflowStep] = {}
        self._by_version: dict[tuple[str, str, str, str], WorkflowStep] = {}
        self._by_step: dict[tuple[str, str, str], WorkflowStep] = {}
        for workflow in workflows:
            for step in workflow.steps.values():
                if step.handler is not None:
                    self._by_handler[step.handler] = step
                place = (workflow.namespace, workflow.name)
                self._by_version[*place, workflow.version, step.name] = step
                self._by_step[*place, step.name] = step

    def find(self, claim: ClaimedStep) -> WorkflowStep | None:
        """The step whose function executes the claim, or None if there is none here."""
        place = (claim.namespace, claim.workflow_name)
        exact = self._by_version.get((*place, claim.version, claim.step_name))
        if exact is not None and exact.handler == claim.handler:
            return exact
        return (
            (self._by_handler.get(claim.handler) if claim.handler else None)
            or exact
            or self._by_step.get((*place, claim.step_name))
        )


def missing(step: WorkflowStep, claim: ClaimedStep) -> list[str]:
    """The parameters for which the stored graph of the task has no parent."""
    parents = claim.dependency_results
    return [name for name in step.parameters if name not in parents and name not in RESERVED]


def arguments(step: WorkflowStep, claim: ClaimedStep, running: object) -> dict[str, Any]:
    """What the function receives: values of JSON, or instances of the types it asks for.

    Raises InvalidContext or InvalidPayload, which name every place that does not fit.
    """
    values = {**claim.dependency_results, "context": claim.context, "step": running}
    given = {parameter: values[parameter] for parameter in step.parameters}
    wrong: list[InvalidPayload] = []
    for name, reader in step.signature.parameters.items():
        try:
            given[name] = reader.load(given[name], name)
        except InvalidPayload as error:
            wrong.append(error)
    if wrong:
        raise combined(wrong)
    return given
