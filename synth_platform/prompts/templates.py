"""Prompt templates: sandboxed Jinja with strict variables, a small safe language, and limits on its output."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from synth_platform.digest import digest
from synth_platform.errors import SpecError
from synth_platform.prompts.config import TEMPLATE_FIELDS

MAX_OUTPUT_CHARACTERS = 4_000_000
_FILTERS = (
    "trim",
    "lower",
    "upper",
    "title",
    "capitalize",
    "truncate",
    "wordcount",
    "length",
    "replace",
    "default",
)
_FILTERS += ("join", "first", "last", "int", "round", "tojson", "indent")
# Loops over ranges, calls and arithmetic on texts are how a template could use up memory or time; prompts
# need none of them.
_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const,
    nodes.If, nodes.For, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.Filter, nodes.Test, nodes.Concat, nodes.Keyword, nodes.Assign, nodes.List, nodes.Tuple,
)  # fmt: skip
_MAX_LOOPS = 2


@dataclass(frozen=True)
class Template:
    """A checked template.

    Args:
        name: shipped name or path, for messages.
        text: the template's source.
    """

    name: str
    text: str

    @classmethod
    def load(cls, name: str, base: Path) -> "Template":
        """Find a template by shipped name, or by path relative to ``base``.

        Raises:
            SpecError: there is none, or it uses what a template may not use.
        """
        if name.endswith(".jinja"):
            path = base / name
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SpecError(
                    f"the template cannot be read: {error}",
                    where=str(path),
                    fix="check the path in the recipe",
                ) from None
        else:
            shipped = files("synth_platform.prompts") / "templates" / f"{name}.jinja"
            if "/" in name or not shipped.is_file():
                raise SpecError(
                    f"unknown recipe template {name!r}",
                    where="recipes.template",
                    fix=f"use one of {', '.join(shipped_templates())}, or the path of a .jinja file",
                )
            text = shipped.read_text("utf-8")
        template = cls(name, text)
        template.check()
        return template

    @cached_property
    def digest(self) -> str:
        """Digest of the template's text."""
        return digest(self.text)

    def check(self, variables: Mapping[str, str] | None = None) -> None:
        """Refuse what is not a plain prompt.

        Raises:
            SpecError: bad syntax, a forbidden construct, or a name that no document will have.
        """
        try:
            tree = _environment().parse(self.text)
        except jinja2.TemplateSyntaxError as error:
            raise SpecError(
                f"the template is not valid: {error.message}", where=f"{self.name}:{error.lineno}"
            ) from None
        for node in tree.find_all(nodes.Node):
            if isinstance(node, nodes.Expr | nodes.Stmt) and not isinstance(node, _ALLOWED):
                raise self._error(f"a template may not use {type(node).__name__.lower()} expressions", node)
            if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
                raise self._error(f"a template may not use the filter {node.name!r}", node, ", ".join(_FILTERS))
            if isinstance(node, nodes.Getattr | nodes.Name):
                name = node.attr if isinstance(node, nodes.Getattr) else node.name
                if name.startswith("_"):
                    raise self._error(f"a template may not use {name!r}", node)
        if sum(1 for _ in tree.find_all(nodes.For)) > _MAX_LOOPS:
            raise SpecError(f"a template may have {_MAX_LOOPS} loops at most", where=self.name)
        if not _uses(tree, "document"):
            raise SpecError(
                "the template never uses the document",
                where=self.name,
                fix="put {{ document }} where it belongs",
            )
        if variables is not None:
            self._check_names(tree, variables)

    def _check_names(self, tree: nodes.Template, variables: Mapping[str, str]) -> None:
        from jinja2.meta import find_undeclared_variables

        known = {*TEMPLATE_FIELDS, *variables}
        if unknown := sorted(find_undeclared_variables(tree) - known):
            raise SpecError(
                f"the template uses {unknown[0]!r}, which does not exist",
                where=self.name,
                fix=f"available: {', '.join(sorted(known))}; or add it to the recipe's variables",
            )

    def render(self, fields: Mapping[str, Any]) -> str:
        """The prompt's text.

        Raises:
            SpecError: a field is missing, or the output is unreasonably large.
        """
        pieces: list[str] = []
        size = 0
        try:
            for piece in self._compiled.generate(fields):
                size += len(piece)
                if size > MAX_OUTPUT_CHARACTERS:
                    raise SpecError(
                        f"the template wrote more than {MAX_OUTPUT_CHARACTERS:,} characters", where=self.name
                    )
                pieces.append(piece)
        except jinja2.UndefinedError as error:
            raise SpecError(
                f"the template uses a field that this document lacks: {error.message}",
                where=self.name,
                fix=f"available: {', '.join(sorted(fields))}",
            ) from None
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError) as error:
            raise SpecError(f"the template failed: {error}", where=self.name) from None
        return "".join(pieces).strip()

    @cached_property
    def _compiled(self) -> jinja2.Template:
        return _environment().from_string(self.text)

    def _error(self, what: str, node: nodes.Node, allowed: str = "") -> SpecError:
        fix = f"allowed: {allowed}" if allowed else "use variables, attributes, if, for and simple filters"
        return SpecError(what, where=f"{self.name}:{node.lineno}", fix=fix)


def shipped_templates() -> list[str]:
    """Names of the templates that come with the package."""
    folder = files("synth_platform.prompts") / "templates"
    return sorted(entry.name.removesuffix(".jinja") for entry in folder.iterdir() if entry.name.endswith(".jinja"))


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.globals.clear()
    return environment


def _uses(tree: nodes.Template, name: str) -> bool:
    return any(node.name == name for node in tree.find_all(nodes.Name))
