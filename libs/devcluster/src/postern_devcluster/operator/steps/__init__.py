"""Carries out the steps that the plan decides on: one function for each, one module for each part of a cluster's life."""
