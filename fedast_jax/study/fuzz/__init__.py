"""Random whole scenarios, the engine against the oracle; one seed is the whole report of a fault."""
