"""`edgekit`: the commands, and the one way in."""

import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from edgekit.cli.compare import compare
from edgekit.cli.compress import compress
from edgekit.cli.doctor import doctor
from edgekit.cli.evaluate import evaluate
from edgekit.cli.export import export
from edgekit.cli.failures import guarded
from edgekit.cli.models import models
from edgekit.cli.parity import parity
from edgekit.cli.profile import profile
from edgekit.cli.prune import prune
from edgekit.cli.recipes import recipes
from edgekit.cli.sparsity import sparsity
from edgekit.cli.targets import targets
from edgekit.cli.verify import verify


class Commands(TyperGroup):
    """All commands behind one guard: messages and exit codes are decided in `failures`, not by typer."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run a command line (the process's own where none is given) and exit."""
        arguments = list(sys.argv[1:] if args is None else args)
        sys.exit(guarded(lambda: self._run(arguments), arguments))

    def _run(self, arguments: list[str]) -> None:
        with self.make_context("edgekit", list(arguments)) as context:
            self.invoke(context)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    compress,
    profile,
    compare,
    prune,
    sparsity,
    evaluate,
    export,
    verify,
    parity,
    models,
    targets,
    recipes,
    doctor,
):
    app.command()(command)


@app.callback()
def edgekit(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Compress a vision network for an edge device, export it, and prove that it still works."""
    if version:
        typer.echo(f"edgekit {importlib.metadata.version('edgekit')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main() -> None:
    """The console script."""
    app()
