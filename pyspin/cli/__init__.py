# SPDX-License-Identifier: Apache-2.0
"""The `pyspin` command. Each of its commands is a module of this package."""

from __future__ import annotations

import importlib
import sys
from typing import Any

# The commands and the modules that hold them; a module is imported when its command is asked
# for, so that `pyspin board` needs nothing of `pyspin demo`.
COMMANDS = {"demo": "demo", "board": "board", "doctor": "doctor"}


def main() -> None:
    """Run the command line; say how to get its packages when they are missing."""
    try:
        _group()(prog_name="pyspin")
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich", "matplotlib"):
            raise
        sys.exit(f"pyspin: {error.name} is missing: pip install 'pyspin-io[cli]'")
    except KeyboardInterrupt:  # while a command is imported
        sys.exit(130)


def _group() -> Any:
    import click

    class Lazy(click.Group):
        """A group that imports a command's module when it is needed."""

        def list_commands(self, context: click.Context) -> list[str]:
            return sorted(COMMANDS)

        def get_command(self, context: click.Context, name: str) -> click.Command | None:
            if name not in COMMANDS:
                return None
            module = importlib.import_module(f"pyspin.cli.{COMMANDS[name]}")
            command: click.Command = getattr(module, name)
            return command

    @click.command(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="pyspin-io")
    def pyspin() -> None:
        """Datagram traffic at C speed: SPEAD streams and SpiNNaker boards."""

    return pyspin
