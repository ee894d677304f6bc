"""What is measured of a whole dataset version: near-duplicates, diversity, template collapse, drift, yields."""
