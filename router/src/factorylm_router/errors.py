"""What can go wrong in the router, sorted by what the caller can do next.

RouterError (a FactoryLMError)
├── ConfigError            the configuration file is wrong: fix the named key
├── BadRequestError        the client sent something no model can answer: change the request
├── NotAllowedError        no valid key, or the key may not do this: ask whoever issued it
├── PolicyRefusedError     the data may not go there: lower the claim or add a model on site
├── BudgetExceededError    the key's money is used up: raise the budget or wait for the next period
├── RateExceededError      too fast or too much at once: wait `retry_after_s`
├── UpstreamFailedError    every allowed model failed: try again later
├── StateAwayError         the books cannot be read just now: requests go on, try again later
└── PriceUnknownError      a call would cost an unknown amount: add its price
"""

from typing import ClassVar

from factorylm_schema import FactoryLMError


class RouterError(FactoryLMError):
    """`status`, `code` and `kind` are what a client sees on the wire."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "router_error"
    kind: ClassVar[str] = "api_error"


class ConfigError(RouterError):
    code = "config_error"


class BadRequestError(RouterError):
    status = 400
    code = "bad_request"
    kind = "invalid_request_error"


class BodyTooLargeError(BadRequestError):
    status = 413
    code = "body_too_large"


class NotAllowedError(RouterError):
    status = 401
    code = "invalid_api_key"
    kind = "authentication_error"


class ModelNotAllowedError(NotAllowedError):
    status = 403
    code = "model_not_allowed"
    kind = "permission_error"


class PolicyRefusedError(RouterError):
    status = 403
    code = "data_policy"
    kind = "permission_error"


class BudgetExceededError(RouterError):
    # 402 reaches openai clients as a bare APIStatusError and 429 would be retried; 403 is final and typed.
    status = 403
    code = "budget_exceeded"
    kind = "permission_error"


class RateExceededError(RouterError):
    status = 429
    code = "rate_limited"
    kind = "rate_limit_error"

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class UpstreamFailedError(RouterError):
    status = 502
    code = "upstream_failed"


class UpstreamTimeoutError(UpstreamFailedError):
    status = 504
    code = "upstream_timeout"


class PriceUnknownError(RouterError):
    code = "price_unknown"


class StateAwayError(RouterError):
    status = 503
    code = "state_away"
