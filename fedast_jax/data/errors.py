"""The one error of this package."""


class DataError(ValueError):
    """Data that is missing, damaged or not what it should be: one sentence, with the fix."""
