"""FactoryLM's registry: a marketplace for skills that computes trust instead of claiming it."""

__all__: list[str] = []
