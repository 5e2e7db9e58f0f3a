"""Draw docs/layers.svg: the folders of the package as layers, and who imports from whom.

Command: python docs/draw_layers.py
"""

from __future__ import annotations

import ast
from collections import Counter
from io import StringIO
from pathlib import Path

import grimp
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

PACKAGE = "fedast_jax"
PICTURE = Path(__file__).with_name("layers.svg")
TOP, BOTTOM, LEFT = 0.97, 0.09, 0.16


def layers() -> dict[str, str]:
    """Each folder and its line, as the package's docstring has them, lowest first."""
    source = Path(__file__).parents[1] / PACKAGE / "__init__.py"
    text = ast.get_docstring(ast.parse(source.read_text())) or ""
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("    ")]
    return {line[0]: line[1] for line in lines}


def imports() -> Counter[tuple[str, str]]:
    """How many modules of one folder import from modules of another."""
    graph, counts = grimp.build_graph(PACKAGE), Counter()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            ends = [name.split(".")[1:2] for name in (importer, imported)]
            if all(ends) and ends[0] != ends[1]:
                counts[ends[0][0], ends[1][0]] += 1
    return counts


def draw() -> Figure:
    """The lowest layer first; an arc on the right leads to each layer that one imports from."""
    folders = layers()
    gap = (TOP - BOTTOM) / (len(folders) - 1)
    height = {folder: TOP - gap * number for number, folder in enumerate(folders)}
    figure = Figure(figsize=(9.5, 6.4))
    panel = figure.add_axes((0, 0, 1, 1), frameon=False, xticks=[], yticks=[])
    panel.set(xlim=(0, 1), ylim=(0, 1))
    for folder, words in folders.items():
        panel.text(0.03, height[folder], folder, weight="bold", va="center", family="monospace")
        panel.text(LEFT, height[folder], words, va="center", fontsize=9)
    most = max(imports().values())
    for (importer, imported), count in sorted(imports().items()):
        reach = (height[imported] - height[importer]) / TOP
        panel.add_patch(
            FancyArrowPatch(
                (0.78, height[importer]),
                (0.78, height[imported]),
                connectionstyle=f"arc3,rad={0.25 + 0.25 * reach}",
                arrowstyle="-|>",
                mutation_scale=7,
                linewidth=0.5 + 3 * count / most,
                color="#0072B2",
                alpha=0.55,
            )
        )
    panel.text(0.03, 0.02, "an arc: imports, the more the thicker; all lead upwards", fontsize=8)
    return figure


def picture() -> str:
    """As SVG, the same for the same code."""
    with mpl.rc_context({"svg.hashsalt": PACKAGE, "svg.fonttype": "none"}):
        buffer = StringIO()
        draw().savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture())
