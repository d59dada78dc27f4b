"""`edgekit recipes`: the orders of stages, or one of them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts, print_table
from edgekit.cli.output import output

if TYPE_CHECKING:
    from edgekit.recipe import Recipe

Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", show_default=False, help="Show this one (or a recipe file).")
]


def recipes(name: Name = None, *, as_json: options.Json = False) -> None:
    """List the recipes that edgekit comes with, or show one."""
    with output(as_json=as_json) as out:
        from edgekit.recipe import list_recipes, load_recipe

        if name is not None:
            document = _document(load_recipe(name))
            out.show(document, lambda console: print_facts(console, document))
            return
        found = list_recipes()
        rows = [
            (recipe.id, " → ".join(stage.kind for stage in recipe.stages), recipe.title) for recipe in found
        ]
        columns = ("name", "stages", "what it does")
        out.show([_document(recipe) for recipe in found], lambda console: print_table(console, columns, rows))


def _document(recipe: "Recipe") -> dict[str, Any]:
    values = recipe.model_dump(mode="json")
    return {"name": values.pop("id"), **values}
