"""Several configurations as one run: comparisons of algorithms, sweeps over settings."""
