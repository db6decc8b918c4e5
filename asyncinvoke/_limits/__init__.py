"""Finding limits, and handing out permits."""
