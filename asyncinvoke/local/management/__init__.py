"""The operations that set functions up, as far as SDK code needs them before it invokes."""
