"""FactoryLM's registry: a marketplace for skills that computes trust instead of claiming it.

- `quality`: the scale, its rules, `judge`
- `registry`, `store`, `api`: the service; `page`: for people
- `signatures`, `merkle`, `tile_log`, `verification`: what is signed, logged and checked
- `publishing`, `installing`, `sources`: both ends of a skill's way
"""

__all__: list[str] = []
