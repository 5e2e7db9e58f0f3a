"""A run on several machines: replicates are divided, and what they measured is put together."""
