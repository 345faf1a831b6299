"""`python -m voxledger`."""

from voxledger.cli.main import cli

cli(prog_name="voxledger")
