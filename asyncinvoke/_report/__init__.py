"""A run as a page that people look at: one HTML file, with nothing to load and nothing to run."""
