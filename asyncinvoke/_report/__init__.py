"""A run as a report: one self-contained HTML file without scripts."""
