"""What a misspelt name was meant to be: one rule wherever a name is looked up."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 64  # characters that are compared
LETTERS_PER_SLIP = 4  # a name of eight letters may hold two slips, any name one


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that differs by the fewest slips, of equals the first; None if all by many.

    Capitals and the choice between ``-`` and ``_`` do not count. Where none is near it is the only
    one that has all the words of ``name`` and more: ``alpha`` is ``dirichlet_alpha``.
    """
    slips = {word: num_slips(plain(name), plain(word)) for word in known}
    most = max(1, len(name) // LETTERS_PER_SLIP)
    near = [word for word in slips if slips[word] <= min(most, len(word) - 1)]
    longer = [word for word in slips if name and f"_{plain(name)}_" in f"_{plain(word)}_"]
    if not near and len(longer) == 1:
        return longer[0]
    return min(near, key=slips.__getitem__, default=None)


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "choose from") -> str:
    """``did you mean 'mnist'?``, or all known names where none is near."""
    known = list(known)
    near = closest(name, known)
    return f"did you mean {near!r}?" if near else f"{otherwise} {', '.join(sorted(known))}"


def plain(name: str) -> str:
    """A name without what does not count."""
    return name[:LONGEST].lower().replace("-", "_")


def num_slips(one: str, other: str) -> int:
    """Letters left out, put in or changed, and neighbours swapped, from one word to the other.

    Reference:
        Optimal string alignment distance (Damerau 1964; Levenshtein 1966).
    """
    before, row = [], list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, their in enumerate(other, 1):
            least = min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != their))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == their:
                least = min(least, earlier[j - 2] + 1)
            row.append(least)
    return row[-1]
