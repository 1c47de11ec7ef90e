"""Affine maps, the sampler, boxes and heat-maps: pure functions of arrays."""
