"""The operator's console: a local page that shows the plant, what the assistant does, and what waits for a yes.

- `board` collects what there is to show
- `stream` numbers every change, so that a browser that was away gets what it missed
- `app` is the HTTP side: page, snapshot, events, decisions
- `page/` are the files the browser loads; nothing comes from elsewhere
"""

from factorylm.console.app import console_app
from factorylm.console.board import Board

__all__ = ["Board", "console_app"]
