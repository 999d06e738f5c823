"""What the predictor raises, under the one tree of the schema library.

FactoryLMError
├── DataError       look at the data: a column, a clock, a unit of measure
├── ModelError      the model file cannot be trusted or does not fit: fit again
├── BadRequestError, UnknownNameError, MissingPartError   as everywhere
"""

from factorylm_schema.errors import FactoryLMError


class DataError(FactoryLMError):
    """The data cannot carry the answer; the message names column, unit and row where known."""

    code = "DATA"


class ModelError(FactoryLMError):
    """The model file is damaged, edited, of another version, or belongs to other data."""

    code = "MODEL"
