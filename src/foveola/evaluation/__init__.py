"""How good a network is: predictions, metrics, calibrated confidence."""
