"""A study that can be looked at: its figures, and its table in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .sheets import study_sheet
from .tables import StudyTables

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ShownStudy(StudyTables):
    """As ``StudyTables``; matplotlib is imported when a figure is asked for."""

    def figures(self) -> dict[str, Figure]:
        """The pictures that the study's shape allows, by name."""
        from .figures import study_figures

        return study_figures(self)

    def _repr_html_(self) -> str:
        """The table that the command line prints."""
        return study_sheet(self).to_html()
