"""Write the table of hyperparameters into docs/methods.md, between its two marks.

Command: python docs/list_methods.py
"""

from __future__ import annotations

from pathlib import Path

from fedast_jax.algorithms.methods.built_in import BUILT_IN

PAGE = Path(__file__).with_name("methods.md")
BEGIN, END = "<!-- hyperparameters -->", "<!-- end -->"


def table() -> str:
    """A row a hyperparameter, as the methods declare them."""
    rows = [
        f"| `{method.name}` | `{name}` | {number.default:g} | {number.least:g} to {number.most:g} "
        f"| {number.meaning} |"
        for method in BUILT_IN
        for name, number in method.numbers.items()
    ]
    return "\n".join(
        ["| method | setting | default | allowed | meaning |", "|---" * 5 + "|", *rows]
    )


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
