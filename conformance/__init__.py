"""The official MCP conformance suite and schema check, run on the fixture server and on every skill."""
