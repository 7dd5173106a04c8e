"""The engine of virtual variables: transforms, recipes, their graph, and lazy evaluation."""
