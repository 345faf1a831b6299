"""`voxledger review serve`: the review page, where a browser may not open files, or beside a model."""

from __future__ import annotations

from pathlib import Path

import click

from voxledger import layout


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of this machine.  [default: one that is free]")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help=f"Folder of a model that answers clicks: one of {layout.BASE_MODELS}, or of nnInteractive.",
)
def serve(bundle: Path, port: int, model: Path | None) -> None:
    """Serve the review page with BUNDLE, a folder, to the browser of this machine, until Ctrl-C.

    What is decided and corrected is written into the folder. Only this machine is listened to, and only who opens the
    address that is printed gets at the files: it holds a token. From another machine, make a tunnel.

    Beside a model, a click in the page, and with nnInteractive a box or a scribble, too, is answered with a suggestion,
    to take or to leave. Model and clicks go into the return. It computes on a GPU where there is one.

    \b
    Examples:
      voxledger review serve bundle-r01-alice
      voxledger review serve bundle-r01-alice --model models/base/nninteractive
      ssh -L 8000:127.0.0.1:8000 server voxledger review serve --port 8000 /srv/bundle-r01-alice
    """
    from voxledger.review.serve import Server

    server = Server(bundle, port, model)
    click.echo(f"{server.manifest.name}: open {server.address}\nCtrl-C ends it; what was written stays in {bundle}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("\nended")
    finally:
        server.server_close()
