"""What several scripts of the gallery have in common; each script changes one line of it."""
