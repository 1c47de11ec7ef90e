"""From poses to figures."""
