"""Measures the operator on a real control plane with simulated nodes; see ../README.md."""
