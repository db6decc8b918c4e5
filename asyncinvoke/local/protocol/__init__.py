"""Lambda's wire protocol as values: names, requests, responses, errors, frames of a stream."""
