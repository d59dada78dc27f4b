"""`edgekit compress`: a network and a device in, the file that ships and its proof out."""

import typer

from edgekit.cli import options
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.errors import BudgetError
from edgekit.request import Request


def compress(
    model: options.Model,
    target: options.Target,
    *,
    recipe: options.Recipe = None,
    data: options.Data = None,
    weights: options.Weights = None,
    out: options.Out = None,
    input_size: options.InputSize = None,
    width: options.Width = Request.width,
    factory_arg: options.FactoryArg = None,
    task: options.Task = None,
    seed: options.Seed = Request.seed,
    threads: options.Threads = Request.threads,
    batch: options.Batch = Request.batch,
    device: options.Device = Request.device,
    resume: options.Resume = False,
    force: options.Force = False,
    skip_bad: options.SkipBad = False,
    max_accuracy_drop: options.MaxAccuracyDrop = None,
    max_latency: options.MaxLatency = None,
    max_macs: options.MaxMacs = None,
    as_json: options.Json = False,
) -> None:
    """Make a network small and fast on a device, export it, and prove that it still works."""
    with output(as_json=as_json) as sink:
        from edgekit.cli.stage_table import print_report
        from edgekit.pipeline import compress as run
        from edgekit.pipeline import follow, resolve
        from edgekit.stages.crew import follows

        request = Request(
            model=model,
            target=target,
            recipe=recipe,
            data=data,
            weights=weights,
            out=out,
            input_size=options.size(input_size),
            width=width,
            factory_arg=tuple(factory_arg or ()),
            task=task,
            seed=seed,
            threads=threads,
            batch=batch,
            device=device,
            resume=resume,
            force=force,
            skip_bad=skip_bad,
            max_accuracy_drop=max_accuracy_drop,
            max_latency_ms=max_latency,
            max_macs=max_macs,
        )
        if follows():
            follow(resolve(request))
            return
        progress = shown()
        done = run(resolve(request, progress), progress)
        report = done.report
        sink.show(report.model_dump(mode="json"), lambda console: print_report(console, report, done.folder))
    if report.budget_failures:
        raise typer.Exit(BudgetError.exit_code)
