"""Pages of the site that are not written in docs/: README and its neighbours, the commands, the API by module."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

from voxledger.cli.main import cli

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "voxledger"
COMMAND_LINE = PACKAGE / "cli"
"""Has a page of commands in place of API pages."""
NEIGHBOURS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
"""Pages beside docs/; README.md becomes the first page."""
LINKED = ("pyproject.toml", "CITATION.cff", "LICENSE")
"""What these pages link to and is no page."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    assert config.nav is not None
    config.nav += [{"Commands": "commands.md"}, {"API": _nav(PACKAGE)}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    pages = {"index.md" if name == "README.md" else name: _in_the_site(ROOT / name) for name in NEIGHBOURS}
    pages["commands.md"] = "# Commands\n\n" + "\n".join(_helps(cli, "voxledger", None))
    pages |= {_page(path): f"::: {_module(path)}\n" for path in public_modules()}
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    for name in LINKED:
        included = InclusionLevel.INCLUDED
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name), inclusion=included))
    return files


def public_modules(package: Path = PACKAGE) -> list[Path]:
    """Every package and module whose name has no leading underscore, the command line aside."""
    found = [package]
    for path in sorted(package.iterdir()):
        if path.name.startswith("_") or path == COMMAND_LINE:
            continue
        if (path / "__init__.py").exists():
            found += public_modules(path)
        elif path.suffix == ".py":
            found.append(path)
    return found


def _nav(package: Path) -> list[Any]:
    """The page of a package, its modules, and its packages."""
    inside = [path for path in public_modules(package) if path.parent == package]
    modules = [{path.stem: _page(path)} for path in inside if path.is_file()]
    return [_page(package), *modules, *({path.name: _nav(path)} for path in inside if path.is_dir())]


def _page(path: Path) -> str:
    page = path / "index.md" if path.is_dir() else path.with_suffix(".md")
    return f"api/{page.relative_to(PACKAGE.parent).as_posix()}"


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def _in_the_site(path: Path) -> str:
    return re.sub(r"\]\(docs/", "](", path.read_text("utf-8"))


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    """What `--help` prints, of a command and of all that it holds."""
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _helps(found, inner, context)
