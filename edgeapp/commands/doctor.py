"""``biovita-edge doctor``: check this machine and the station, and repair what is safe to repair."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer

from edgeapp.commands.options import ConfigOption, JsonOption
from edgeapp.commands.validation import loaded
from edgeapp.doctor.bundle import bundle
from edgeapp.doctor.checkup import examine
from edgeapp.doctor.context import Context
from edgeapp.doctor.finding import Finding, State, exit_code
from edgeapp.doctor.repair import repair
from edgeapp.station.assembly import clock_of
from edgeapp.terminal import say, tell

WORDS = {0: "all is well", 1: "it works, with warnings", 2: "something does not work"}


def doctor(
    config: ConfigOption = None,
    json: JsonOption = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair a damaged journal (a backup is kept) and remove orphan files.")
    ] = False,
    no_microphone: Annotated[bool, typer.Option("--no-microphone", help="Do not record from a microphone.")] = False,
    no_network: Annotated[bool, typer.Option("--no-network", help="Do not try the targets of messages.")] = False,
    support: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Write a support file (ZIP) as well, without any secret."),
    ] = None,
    with_location: Annotated[
        bool, typer.Option("--with-location", help="Leave the location of the station in the support file.")
    ] = False,
) -> None:
    """Check settings, pack, provider, gallery, microphone, journal, targets of messages, disk, memory, power and clock.

    Targets of messages are tried as they are configured: a broker by a log-in and a message to a topic beside its own,
    a webhook by what `webhook.probe` says.

    Exit code 0: all is well; 1: warnings; 2: errors.
    """
    settings = loaded(config)
    clock = clock_of(settings.settings)
    context = Context(settings, clock=clock, microphone=not no_microphone, network=not no_network)
    findings: list[Finding] = []
    for stage in (repair, examine) if fix else (examine,):
        for finding in stage(context):
            findings.append(finding)
            if not json:
                _tell(finding)
    code = exit_code(findings)
    if support is not None:
        names = bundle(context, findings, support, with_location)
        tell(f"{support}: written ({', '.join(names)}); without secrets{'' if with_location else ' and locations'}")
    if json:
        told = [{**finding.__dict__, "state": finding.state.value} for finding in findings]
        typer.echo(json_module.dumps({"exit_code": code, "findings": told}, indent=2, ensure_ascii=False))
    else:
        n = {state: sum(finding.state is state for finding in findings) for state in State}
        say(f"{WORDS[code]}: {', '.join(f'{n[state]} {state.value}' for state in State)}")
    raise typer.Exit(code)


def _tell(finding: Finding) -> None:
    say(f"{finding.state.value:<8} {finding.name:<12} {' '.join(finding.what.split())}")
    if finding.remedy:
        say(f"{'':<21} {' '.join(finding.remedy.split())}")
