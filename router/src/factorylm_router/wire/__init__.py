"""The dialects spoken on the wire, as pure functions on bytes and dicts: chat, messages, responses, event
streams."""
