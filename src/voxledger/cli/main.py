"""`voxledger`: a table of commands, each loaded only when it is called."""

from __future__ import annotations

import importlib
import sys

import click

from voxledger import __version__
from voxledger.disk import disk_failure
from voxledger.errors import VoxledgerError
from voxledger.extras import missing_extra

COMMANDS = {
    "init": ("voxledger.cli.init:init", "Make a new curation repository."),
    "cases": ("voxledger.cli.cases:cases", "Register images and labels; make example cases."),
    "models": ("voxledger.cli.models:models", "Register and list models."),
    "cohort": ("voxledger.cli.cohort:cohort", "What the cases of a source are worth as training data."),
    "schema": ("voxledger.cli.schema:schema", "Rename and retire classes between rounds, on record."),
    "round": ("voxledger.cli.round:round_", "Run, close and open rounds; see where one stands."),
    "review": ("voxledger.cli.review:review", "Send bundles to reviewers and take them back."),
    "release": ("voxledger.cli.release:release", "Hand a version over in the formats that others use."),
    "filter": ("voxledger.cli.filter:filter_", "Explain and fit the rules that remove false findings."),
    "score": ("voxledger.cli.score:score", "Look into attention and worklist."),
    "withdraw": ("voxledger.cli.withdraw:withdraw", "Remove what older versions hold of withdrawn patients."),
    "trace": ("voxledger.cli.trace:trace", "Where a label came from: person, bundle, model, sources."),
    "verify": ("voxledger.cli.verify:verify", "Check a version against its manifest and signature."),
    "diff": ("voxledger.cli.diff:diff", "What changed between two versions, and by whom."),
    "memo": ("voxledger.cli.memo:memo", "What is remembered of cases; remove what no open round needs."),
    "doctor": ("voxledger.cli.doctor:doctor", "Check this machine and the repository here."),
    "upgrade": ("voxledger.cli.upgrade:upgrade", "Bring the pipeline to the voxledger that is installed."),
    "demo": ("voxledger.cli.demo:demo", "Two rounds on example cases with an emulated reader."),
}


class LazyGroup(click.Group):
    """Lists its commands without importing them, and turns errors into their message and exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except VoxledgerError as error:
            failure = error
        except Exception as error:
            if (of_the_machine := disk_failure(error) or missing_extra(error)) is None:
                raise
            failure = of_the_machine
        click.echo(f"error: {failure}", err=True)
        sys.exit(failure.exit_code)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="voxledger")
def cli() -> None:
    """Turn CT and MR volumes into an expert-validated segmentation dataset, one annotation round at a time.

    \b
    A round:  voxledger round run       predict, filter, score, write bundles
              voxledger review receive  take a returned bundle in
              voxledger round run       import, retrain, evaluate
              voxledger round close     freeze and tag the version
              voxledger round open      start the next round

    Exit codes: 0 done, 1 failed, 2 misuse, 3 waiting for people; `verify` alone: 4 incomplete.
    """
