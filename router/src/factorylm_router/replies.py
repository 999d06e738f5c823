"""What a client gets in the end: the answer in its dialect, or the reason why there is none."""

import orjson

from factorylm_router.attempt import Answer, Job
from factorylm_router.errors import RateExceededError, RouterError, UpstreamFailedError, UpstreamTimeoutError
from factorylm_router.money import dollars
from factorylm_router.resilience import FailedAttempt, Trouble
from factorylm_router.wire.chat import usage_dict
from factorylm_router.wire.messages_in import message_from_chat
from factorylm_router.wire.responses import response_from_chat


def told(job: Job, answer: Answer) -> bytes:
    """The answer in the client's dialect; as the provider sent it where that is possible."""
    if answer.dialect == job.surface:
        if answer.tally.usage is None and job.surface == "chat":
            return orjson.dumps({**answer.chat, "usage": usage_dict(answer.usage)})
        return answer.raw
    if job.surface == "messages":
        return orjson.dumps(message_from_chat(answer.chat, answer.usage))
    if job.surface == "responses":
        return orjson.dumps(response_from_chat(answer.chat, answer.usage))
    return orjson.dumps({**answer.chat, "usage": answer.chat.get("usage") or usage_dict(answer.usage)})


def refused_by_all(failure: FailedAttempt) -> RouterError | FailedAttempt:
    """The last failure as the client should see it. A client's own fault keeps the provider's words."""
    if failure.is_the_clients_fault:
        return failure
    if failure.trouble is Trouble.STATUS and failure.status == 429:
        wait_s = failure.retry_after_s if failure.retry_after_s is not None else 1.0
        return RateExceededError(failure.message, hint="the provider limits the rate", retry_after_s=wait_s)
    kind = UpstreamTimeoutError if failure.trouble is Trouble.TIMEOUT else UpstreamFailedError
    return kind(failure.message, hint="no model of this route answered; try again later")


def cost_comment(request_id: str, micro: int) -> bytes:
    """Costs are known when a stream ends: an SSE comment tells them to whoever looks."""
    return b": factorylm request=%b cost_usd=%b\n\n" % (request_id.encode(), dollars(micro).encode())
