"""Traits of species: the 34 labels, and the tables that answer them."""
