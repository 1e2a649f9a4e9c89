"""The research commands under ``osteon``. Beside the demo the only door from the node to ``training``, and it opens when one is called."""

import typer

COMMANDS = {
    "simulate": "Write simulated patients (CT, chest X-ray, DXA) as DICOM, with their truth.",
    "train": "Train a model: osteon train NAME.",
    "evaluate": "Evaluate a trained model: osteon evaluate NAME.",
    "pair": "Pair CT or chest X-ray with DXA of the same patient, and write the manifest.",
    "manifest": "Say how a table of studies reads, what it holds, and how its patients are dealt out.",
}
"""Name and help of each; their options are their own."""

_PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}


def mount(app: typer.Typer) -> None:
    """Add the research commands to ``app``. Nothing of ``training`` is imported before one of them runs."""
    for name, text in COMMANDS.items():
        app.command(name, help=text, rich_help_panel="Research", context_settings=_PASS_THROUGH, add_help_option=False)(_forward)


def _forward(context: typer.Context) -> None:
    from training.cli import main

    main([str(context.info_name), *context.args])
