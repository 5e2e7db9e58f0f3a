"""Random whole scenarios, the engine against the oracle; one seed is the report of a fault."""
