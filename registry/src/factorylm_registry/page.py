"""The registry for people: rendered here, no script, nothing from elsewhere."""

from starlette.routing import Route

from factorylm_registry.registry import Registry


def page_routes(registry: Registry) -> list[Route]:
    """The pages."""
    return []
