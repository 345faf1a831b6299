"""`voxledger review serve`: the review page, where a browser may not open files."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of this machine.  [default: one that is free]")
def serve(bundle: Path, port: int) -> None:
    """Serve the review page with BUNDLE, a folder, to the browser of this machine, until Ctrl-C.

    What is decided and corrected is written into the folder. Only this machine is listened to, and only who opens the
    address that is printed gets at the files: it holds a token. From another machine, make a tunnel.

    \b
    Examples:
      voxledger review serve bundle-r01-alice
      ssh -L 8000:127.0.0.1:8000 server voxledger review serve --port 8000 /srv/bundle-r01-alice
    """
    from voxledger.review.serve import Server

    server = Server(bundle, port)
    click.echo(f"{server.manifest.name}: open {server.address}\nCtrl-C ends it; what was written stays in {bundle}")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("\nended")
    finally:
        server.server_close()
