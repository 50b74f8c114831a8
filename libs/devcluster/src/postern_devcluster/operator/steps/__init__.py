"""Carries out the steps that the plan decides on: one function each, one module for a part of a cluster's life."""
