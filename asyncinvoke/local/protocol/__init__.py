"""Lambda's wire protocol, as values: names, what arrives, answers, refusals, frames of a stream."""
