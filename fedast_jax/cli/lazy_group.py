"""Commands under a name that are imported once one of them is called, not to print all help."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module

import typer
from typer.core import TyperCommand, TyperGroup


def lazy_group(where: str) -> typer.Typer:
    """An empty application that stands for that of ``"module:name"``."""

    class Lazy(TyperGroup):
        """Finds its commands in the module when they are asked for."""

        @cached_property
        def real(self) -> TyperGroup:
            module, _, name = where.partition(":")
            group = typer.main.get_command(getattr(import_module(module), name))
            assert isinstance(group, TyperGroup)
            return group

        def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
            return self.real.list_commands(ctx)

        def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand | None:  # type: ignore[override]
            return self.real.get_command(ctx, cmd_name)  # type: ignore[return-value]

    return typer.Typer(cls=Lazy, no_args_is_help=True)
