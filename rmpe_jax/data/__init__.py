"""From annotation files to batches of crops."""
