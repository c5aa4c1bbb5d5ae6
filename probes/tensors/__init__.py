"""The solver of :mod:`outcrop.probes` on tensors, its modules named as there: many cells at once, on one device.

Needs PyTorch: only :mod:`outcrop.probes.device` imports from here, when a device is asked for.
"""
