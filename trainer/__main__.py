"""The trainer's command line: `python -m trainer --stage 1`, `python -m trainer evaluate`."""

from __future__ import annotations

import typer

from edgeapp.commands import wrong_call
from edgeapp.terminal import tell
from trainer.benchmark.commands import make_benchmark
from trainer.data.commands import data
from trainer.evaluate_commands import calibrate, evaluate
from trainer.names import names_command
from trainer.probes.ssw60_command import ssw60
from trainer.probes.traits_command import traits
from trainer.train_command import train
from trainer.trunk.recordings_command import recordings_command, space_command
from trainer.weights_commands import adapt_command, import_published

PROGRAM = "python -m trainer"

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode="markdown")
app.callback(invoke_without_command=True)(train)
app.command()(evaluate)
app.command()(calibrate)
app.add_typer(data, name="data")
app.command(name="make-benchmark")(make_benchmark)
app.command(name="space")(space_command)
app.command()(ssw60)
app.command()(traits)
app.command(name="import")(import_published)
app.command(name="adapt")(adapt_command)
app.command(name="names")(names_command)
app.command(name="recordings")(recordings_command)


def main() -> None:
    """Run the command line; an error that a user can cause is one line on stderr and its exit code."""
    code = wrong_call.run(app, PROGRAM)
    if code == wrong_call.INTERRUPTED:
        tell("stopped; repeat the command to resume after the last finished epoch")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
