"""Pose networks in Flax Linen."""
