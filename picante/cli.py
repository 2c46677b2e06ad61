"""The `picante` command."""

from __future__ import annotations

from importlib import import_module

import click

MODULES = {
    "demo": "picante.demo.cli",
    "gateway": "picante.cli_gateway",
    "dispensers": "picante.cli_dispensers",
    "doctor": "picante.cli_doctor",
    "people": "picante.cli_people",
    "tokens": "picante.cli_people",
    "sim": "picante.cli_sim",
    "models": "picante.cli_models",
    "heat": "picante.cli_heat",
    "cloud": "picante.cli_cloud",
    "lake": "picante.cli_lake",
    "qr": "picante.cli_qr",
}
"""Where each command is; it has the same name there."""


class ImportedWhenCalled(click.Group):
    """The groups of commands. Each is imported when it is called: all of them take half a second of a fast core."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- as click calls it
        """All names, for the help."""
        return sorted(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- as click calls it
        """A group by its name."""
        if cmd_name not in MODULES:
            return None
        command: click.Command = getattr(import_module(MODULES[cmd_name]), cmd_name)
        return command


@click.group(cls=ImportedWhenCalled, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="picante", prog_name="picante")
def main() -> None:
    """Picante: smart hot-sauce dispensers, picks in milliseconds, every event in Kafka exactly once.

    \b
    Try:  picante demo
    """
