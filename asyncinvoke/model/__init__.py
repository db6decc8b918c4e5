"""Values: what goes in and what comes out. Imports nothing above itself."""
