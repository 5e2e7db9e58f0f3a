"""Pages, traces and pictures of finished runs, from their folders alone."""
