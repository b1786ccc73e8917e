"""The record of a run, and its views: JSON, HTML, trace."""
