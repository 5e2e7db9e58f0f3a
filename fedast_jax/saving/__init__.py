"""What a run leaves on disk: its folder, and the checkpoints from which it can go on."""
