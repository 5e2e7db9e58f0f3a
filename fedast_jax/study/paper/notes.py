"""Why a figure may come out otherwise than in the paper, as far as is known."""

from __future__ import annotations

_OPEN = (
    "the paper does not give R; here sum R = 384, R = 384 / M and b = R / 32, which reproduce its "
    "ratio of about 32"
)
_VERSION_0 = (
    "in the authors' code version 0 shares its memory with the live model, so that the first "
    'requests have nearly no staleness; `fidelity = "authors"` follows that'
)
_ALLOCATION = (
    "the authors' code halves where the paper takes a root, so R follows the variance itself, in "
    'steps of 32; `fidelity = "authors"` follows that'
)

NOTES = {
    "fig2": f"{_OPEN}. Sync-Bayes-ST's cost adds up over the rounds, so its search finds nothing "
    "better than chance once fairness counts.",
    "fig3": "the ratios, the end of the run and R are our reading; final is the mean over the last "
    "tenth of the time shown.",
    "fig4": f"{_OPEN}.",
    "fig5": f"{_OPEN}. Targets are first passages of a noisy curve.",
    "fig6": f"one seed, as in the paper, and not its seed; {_VERSION_0}; {_ALLOCATION}.",
    "fig7": f"{_VERSION_0}; {_ALLOCATION}. The diamonds are the times of the authors' published "
    "run, which are not quite those of the paper's text (97 against 99, 615 against 619).",
    "fig8": "the picture of the paper shows final accuracies, too; here tasks stop at their "
    "targets, and the accuracy is that of the last test.",
    "fig9": "as Figure 8.",
    "fig10": "which k the paper has tried, and how many clients take part in a round, is our "
    "reading.",
    "fig11": "as Figure 10.",
    "fig12": "as Figure 10.",
    "fig16": f"{_OPEN}; weight decay and server learning rates are our reading.",
    "fig22": f"{_ALLOCATION}.",
}
