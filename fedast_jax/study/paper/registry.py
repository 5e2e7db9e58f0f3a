"""The paper's figures: what each shows, what the paper says of it, its picture and its claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from ...config.closest import did_you_mean
from ...config.errors import ConfigError
from ...config.words import show
from ..tables import StudyTables
from . import bars, curves, level_claims, theorem, time_claims
from .experiments import EXPERIMENTS, Experiment
from .judge import Claim

PUBLISHED = {  # simulated times to target of the authors' published run
    "fedast:dynamic": {"mnist": 97, "shakespeare": 325, "fashion_mnist": 365, "cifar10": 615},
    "sync_st": {"mnist": 360, "shakespeare": 350, "fashion_mnist": 770, "cifar10": 1000},
}


@dataclass(frozen=True)
class PaperFigure:
    """A figure of the paper."""

    id: str
    shows: str
    says: str  # the paper, of it
    draw: Callable[[StudyTables], Figure]
    claims: Callable[[StudyTables], Sequence[Claim]]

    @property
    def experiment(self) -> Experiment:
        """The study that it shows."""
        return next(study for study in EXPERIMENTS if self.id in study.figures)


_HETEROGENEOUS = "four different tasks, FedAST (D) and Sync-ST"
_OPTIONS = "four different tasks, FedAST (D) and (S)"
_BESIDE = "says what the next figure says"

FIGURES = {
    figure.id: figure
    for figure in (
        PaperFigure(
            "fig2",
            "six CIFAR-10 tasks, all synchronous methods: mean accuracy over time",
            "FedAST first; Sync-ST without straggler mitigation by far last; Sync-Bayes-ST and "
            "Sync-UCB-ST no better than Sync-ST",
            curves.mean_over_tasks,
            level_claims.synchronous_methods,
        ),
        PaperFigure(
            "fig3",
            "three equal tasks: final accuracy against the share of active clients",
            "NoBuffer falls behind as the share grows",
            bars.against_ratio("accuracy"),
            level_claims.active_ratio("accuracy"),
        ),
        PaperFigure(
            "fig4",
            "CIFAR-10 and Fashion-MNIST together: accuracy with and without a buffer",
            "FedAST higher and steadier",
            curves.by_task("accuracy"),
            level_claims.buffer_curves("accuracy"),
        ),
        PaperFigure(
            "fig5",
            "M = 2, 4, 6 equal tasks on four data sets: time to target",
            "FedAST always sooner than Sync-ST; the gain grows with M; up to 46.0%",
            bars.times_by_copies,
            time_claims.equal_tasks,
        ),
        PaperFigure(
            "fig6",
            f"{_HETEROGENEOUS}: accuracy over time of one seed",
            "MNIST ends near 99, the last task (CIFAR-10) at 619; every task sooner",
            curves.one_seed,
            time_claims.published_times,
        ),
        PaperFigure(
            "fig7",
            f"{_HETEROGENEOUS}: time to target",
            "40.1% sooner in all",
            bars.times_by_task(PUBLISHED),
            time_claims.overall(0.401),
        ),
        PaperFigure(
            "fig8",
            "Fashion-MNIST and CIFAR-10, R = 175 each: time to target against b",
            "b = 5 best",
            bars.against_setting("buffer_size", "buffer size b", 5),
            time_claims.best_buffer(5),
        ),
        PaperFigure(
            "fig9",
            "MNIST and CIFAR-10, R = 105 each: time to target against b",
            "b = 3 best",
            bars.against_setting("buffer_size", "buffer size b", 3),
            time_claims.best_buffer(3),
        ),
        *(
            PaperFigure(
                name,
                f"Sync-ST on {data}: time to target against k",
                "k = 30 strikes a balance",
                bars.against_setting("keep_first", "arrivals kept in a round, k", 30),
                time_claims.best_first_k(30),
            )
            for name, data in (
                ("fig10", "CIFAR-10"), ("fig11", "Fashion-MNIST"), ("fig12", "MNIST"),
            )
        ),
        PaperFigure(
            "fig13",
            "three equal tasks: final loss against the share of active clients",
            "NoBuffer gets worse as the share grows",
            bars.against_ratio("loss"),
            level_claims.active_ratio("loss"),
        ),
        PaperFigure(
            "fig14",
            "CIFAR-10 and Fashion-MNIST together: loss with and without a buffer",
            "FedAST lower and steadier",
            curves.by_task("loss"),
            level_claims.buffer_curves("loss"),
        ),
        PaperFigure(
            "fig15",
            "M = 2, 4, 6 equal tasks on four data sets: accuracy over time",
            "as Figure 5",
            curves.equal_tasks,
            level_claims.nothing,
        ),
        PaperFigure(
            "fig16",
            "M = 2, 4, 6 CIFAR-100 tasks with ResNet-18: time to target",
            "gains of 22.0%, 40.7% and 56.3%",
            bars.times_by_copies,
            time_claims.large_model,
        ),
        PaperFigure(
            "fig17",
            f"{_HETEROGENEOUS}, higher targets: accuracy over time of one seed",
            _BESIDE,
            curves.one_seed,
            time_claims.different_tasks,
        ),
        PaperFigure(
            "fig18",
            f"{_HETEROGENEOUS}, higher targets: time to target",
            "55.9% sooner in all",
            bars.times_by_task(),
            time_claims.overall(0.559),
        ),
        PaperFigure(
            "fig19",
            f"{_HETEROGENEOUS}, lower targets: accuracy over time of one seed",
            _BESIDE,
            curves.one_seed,
            time_claims.different_tasks,
        ),
        PaperFigure(
            "fig20",
            f"{_HETEROGENEOUS}, lower targets: time to target",
            "16.3% sooner in all",
            bars.times_by_task(),
            time_claims.overall(0.163),
        ),
        *(
            figure
            for number, level, paper in (
                (21, "higher targets", 0.119), (23, "the main targets", None),
                (25, "lower targets", None),
            )
            for figure in (
                PaperFigure(
                    f"fig{number}",
                    f"{_OPTIONS}, {level}: accuracy over time of one seed",
                    _BESIDE,
                    curves.one_seed,
                    level_claims.nothing,
                ),
                PaperFigure(
                    f"fig{number + 1}",
                    f"{_OPTIONS}, {level}: time to target",
                    "D sooner than S" if paper is None else "D up to 11.9% sooner than S",
                    bars.times_by_task(),
                    time_claims.overall(paper, least=True),
                ),
            )
        ),
        PaperFigure(
            "thm1",
            "a quadratic of known constants: mean of ||grad f||^2 over T, b, tau and R",
            "below Theorem 1's bound; rate 1/sqrt(T b tau) while L eta_s eta_c R^2 tau <= b",
            theorem.picture,
            theorem.claims,
        ),
    )
}  # fmt: skip


def get_figure(name: str) -> PaperFigure:
    """The figure of this id.

    Raises:
        ConfigError: there is none; the message names the nearest.
    """
    if name in FIGURES:
        return FIGURES[name]
    raise ConfigError(f"unknown figure {show(name)}; {did_you_mean(name, FIGURES)}")
