"""The files of examples/deploy: they parse, and the commands in them are such that there are."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from pgtasker.cli import main

from .pages import ROOT

DEPLOY = ROOT / "examples" / "deploy"
FAREWELL = 20  # seconds that a runner may take beyond its grace period


def parsed(command: list[str]) -> dict[str, Any]:
    """What a `pgtasker` command line means; an error of click's if it means nothing."""
    name, *arguments = command
    verb = main.get_command(click.Context(main), name)
    assert verb is not None, f"there is no pgtasker {name}"
    return dict(verb.make_context(name, arguments, parent=click.Context(main)).params)


def unit() -> dict[str, str]:
    """The settings of the systemd unit."""
    lines = (DEPLOY / "shop-runner.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))


def document(name: str) -> Any:
    """A YAML file of the directory."""
    return yaml.safe_load((DEPLOY / name).read_text())


def test_the_unit_gives_the_runner_the_time_it_needs():
    """systemd kills nobody who keeps to the grace period, and hears of the watchdog in time."""
    settings = unit()
    program, *command = shlex.split(settings["ExecStart"])
    options = parsed(command)
    assert program.endswith("/pgtasker")
    assert options["processes"] == 2
    assert settings["Type"] == "notify"
    assert int(settings["TimeoutStopSec"]) >= options["grace"] + FAREWELL


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_understands_the_unit(tmp_path: Path):
    """No unknown setting, no wrong value; only the paths and the user are those of this machine."""
    text = (DEPLOY / "shop-runner.service").read_text()
    text = text.replace("/srv/shop/.venv/bin/pgtasker", sys.executable)
    text = text.replace("User=shop", "User=root").replace("/srv/shop", str(tmp_path))
    file = tmp_path / "shop-runner.service"
    file.write_text(text)
    command = ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_kubernetes_asks_where_the_runner_answers():
    """Both probes meet the port of the runner, and the pod lives longer than the grace period."""
    deployment = document("kubernetes.yaml")
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    options = parsed(container["args"])
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {options["health_port"]}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    assert pod["terminationGracePeriodSeconds"] >= options["grace"] + FAREWELL
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels


def test_compose_starts_what_there_is():
    """Commands, conditions and paths of the compose file and of the image that it builds."""
    services = document("compose.yaml")["services"]
    for name, service in services.items():
        assert service.get("depends_on", {}).keys() <= services.keys(), name
        if "build" in service:
            build = service["build"]
            context = (DEPLOY / build["context"]).resolve()
            assert (context, context / build["dockerfile"]) == (ROOT, DEPLOY / "Dockerfile")
            options = parsed(service["command"])
            grace = int(service.get("stop_grace_period", "60s").removesuffix("s"))
            assert grace >= options.get("grace", 0) + FAREWELL


def test_the_image_runs_a_command_that_there_is():
    """The default command of the image is one of pgtasker's, and its file is in the checkout."""
    text = (DEPLOY / "Dockerfile").read_text()
    [command] = re.findall(r"^CMD (\[.+\])$", text, re.MULTILINE)
    assert parsed(yaml.safe_load(command))["modules"] == ("quickstart.py",)
    assert 'ENTRYPOINT ["pgtasker"]' in text
    for sources in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
