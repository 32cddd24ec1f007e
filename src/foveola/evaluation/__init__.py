"""Evaluation of a network: predictions, metrics, calibrated confidence."""
