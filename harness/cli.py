"""`harness`: the command line. Its commands are in commands/, one file for each subject."""

import errno
from typing import Any

import click

from harness.commands import board, data, hosting, hub, meta, records, scoring, submitting
from harness.errors import HarnessError


class Group(click.Group):
    """The commands, with every mistake of a user answered by one sentence on stderr."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; a `HarnessError` ends in exit code 1, misuse in 2, ctrl-C in 130."""
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            if ctx.params.get("traceback"):
                raise
            click.echo(f"harness: {error}", err=True)
            ctx.exit(1)
        except OSError as error:  # of the answer, say: a full disk behind >, a closed terminal
            if ctx.params.get("traceback") or error.errno == errno.EPIPE:
                raise
            click.echo(f"harness: {error}; --traceback before the command says where.", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo(
                "\nharness: stopped. Finished frames are kept; the same command goes on.",
                err=True,
            )
            ctx.exit(130)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="Show the full traceback of an error.")
@click.version_option(package_name="road-anomaly-harness", message="%(version)s")
def main(traceback: bool) -> None:
    """Score, evaluate and compare anomaly segmentation methods on road scenes."""


for _command in (
    *(scoring.run, scoring.fit, scoring.evaluate, scoring.rescore, meta.meta),
    *(records.list_, records.show, records.compare, records.invalidate, records.delete),
    *(data.data, board.board, records.doctor),
    *(submitting.check, submitting.submit, submitting.submissions),
    *(hub.push_results, hub.pull_submissions),
    *(hosting.serve, hosting.judge, hosting.token, hosting.vouch, hosting.verify),
):
    main.add_command(_command)
