"""Secrets of users: values go in, sealed, and never come out; names and hosts do."""
