"""`doctor`: is anything wrong? The checks are left to `pgtasker.doctor`."""

from __future__ import annotations

import click
from rich.text import Text

from pgtasker.cli.base import Refused, Settings, database_options, json_option
from pgtasker.cli.output import paragraph, print_json, print_lines
from pgtasker.doctor import Finding, examine
from pgtasker.dsn import resolve_dsn

STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@json_option
@database_options
@click.pass_obj
def doctor(settings: Settings, as_json: bool) -> None:
    """Check the install, and what surrounds it.

    One line for each check says whether all is well, and what to do where it is not; exit status 1
    if there is a problem.
    """
    findings: list[Finding] = []
    for finding in examine(resolve_dsn(settings.dsn), settings.schema_name()):
        findings.append(finding)
        if not as_json:
            print_lines(_line(finding))
    if as_json:
        print_json(findings)
    problems = sum(finding.level == "problem" for finding in findings)
    if problems:
        raise Refused(f"{problems} problem{'s' if problems > 1 else ''} found")


def _line(finding: Finding) -> list[Text]:
    lead = Text.assemble(
        (f"{finding.level:8}", STYLES[finding.level]), f"  {finding.check.replace('_', ' '):21}"
    )
    advice = f": {finding.advice}" if finding.advice else ""
    return list(paragraph(f"{finding.text}{advice}", lead))
