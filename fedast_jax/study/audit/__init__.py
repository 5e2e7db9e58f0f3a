"""Finished folders checked: their sums, their events by the oracle, their models, their numbers."""
