"""Kernels around a kernel."""
