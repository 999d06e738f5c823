"""What the twin raises, under the one tree of the schema library.

FactoryLMError
├── DataError       the file cannot be read as asked: a column, a clock, a start
├── ModelError      the model file cannot be trusted or does not fit: fit again
├── BadRequestError, UnknownNameError   as everywhere

Data that can be read but cannot carry an answer is not an error: the model is written with grade `refuse`.
"""

from factorylm_schema.errors import FactoryLMError


class DataError(FactoryLMError):
    """The data cannot be read as asked; the message names column and row where known."""

    code = "DATA"


class ModelError(FactoryLMError):
    """The model file is damaged, edited, of another version, or belongs to other data."""

    code = "MODEL"
