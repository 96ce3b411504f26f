"""Predictions of anyone: scored against ground truth, or packed for a test server. Imports data, metrics and ops."""
