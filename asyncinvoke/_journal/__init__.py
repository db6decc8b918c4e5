"""The durable record of a run: one SQLite file; the only room that knows sqlite3.

In the order of a run's life:

- `store` opens the journal and starts a `session` in it, with the help of `opening` and `marks`;
  `flights` are the items that earlier sessions left in progress.
- `comparing` and `skimming` compare the input with the recorded one.
- `recorder` accepts items and outcomes, which are `pending` until `writing` commits them: `lookups`
  of what is recorded, `deciding` what to do about it, and `committing` of the rows.
- `releasing` hands over what a commit has covered.
- `reading` reads a run, `measuring` computes aggregates for a report, and `settling` corrects items
  that may have run.
- `merging` joins journals: `copying` of their rows with `renumbering`, and `conflicts` between them.
"""
