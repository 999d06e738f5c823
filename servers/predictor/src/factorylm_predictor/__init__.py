"""Maintenance predictor."""
