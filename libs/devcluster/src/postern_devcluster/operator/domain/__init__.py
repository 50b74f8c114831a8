"""Pure rules of the operator: what a Cluster asks for, what comes next, and how objects and files look."""
