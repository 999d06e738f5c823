"""A client speaks OpenAI's responses, the model speaks chat: the stateless part of that dialect."""

from collections.abc import Mapping
from typing import Any

from factorylm_router.errors import BadRequestError
from factorylm_router.money import Usage
from factorylm_router.wire.sse import named_event

SAME_NAME = ("model", "temperature", "top_p", "stream", "parallel_tool_calls", "user", "metadata")


def judge_responses_request(body: Mapping[str, Any]) -> None:
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise BadRequestError("'model' must name a model", hint="GET /v1/models lists them")
    if not body.get("input"):
        raise BadRequestError("'input' must be a text or a list of items")


def chat_from_responses(body: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("previous_response_id", "conversation", "background"):
        if body.get(name):
            raise BadRequestError(
                f"{name!r} needs a provider that keeps conversations", hint="send the whole input each time"
            )
    chat: dict[str, Any] = {name: body[name] for name in SAME_NAME if body.get(name) is not None}
    chat["messages"] = _messages(body)
    if body.get("max_output_tokens"):
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if (body.get("reasoning") or {}).get("effort"):
        chat["reasoning_effort"] = body["reasoning"]["effort"]
    if body.get("tools"):
        chat["tools"] = [_tool(tool) for tool in body["tools"]]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        chat["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif choice:
        chat["tool_choice"] = choice
    _carry_format((body.get("text") or {}).get("format"), chat)
    return chat


def _carry_format(form: Any, chat: dict[str, Any]) -> None:
    if not isinstance(form, dict):
        return
    if form.get("type") == "json_schema":
        chat["response_format"] = {
            "type": "json_schema",
            "json_schema": {k: v for k, v in form.items() if k != "type"},
        }
    elif form.get("type") == "json_object":
        chat["response_format"] = {"type": "json_object"}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise BadRequestError(
            f"tool type {tool.get('type')!r} runs at OpenAI and this model is not theirs",
            hint="use functions",
        )
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _messages(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if body.get("instructions"):
        messages.append({"role": "system", "content": body["instructions"]})
    if isinstance(body["input"], str):
        return [*messages, {"role": "user", "content": body["input"]}]
    for item in body["input"]:
        _add_item(item, messages)
    return messages


def _add_item(item: Mapping[str, Any], messages: list[dict[str, Any]]) -> None:
    kind = item.get("type") or "message"
    if kind == "message":
        messages.append({"role": item.get("role", "user"), "content": _content(item.get("content"))})
    elif kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments") or "{}"}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        last = messages[-1] if messages else {}
        if last.get("role") == "assistant":
            last.setdefault("tool_calls", []).append(call)
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif kind == "function_call_output":
        output = item.get("output")
        text = output if isinstance(output, str) else _content(output)
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": text})
    elif kind != "reasoning":  # reasoning belongs to the model that wrote it
        raise BadRequestError(f"input item {kind!r} has no place in this model's dialect")


def _content(content: Any) -> Any:
    if isinstance(content, str) or content is None:
        return content or ""
    parts = [_part(part) for part in content]
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text", "")}
    if part.get("type") == "input_image" and part.get("image_url"):
        return {"type": "image_url", "image_url": {"url": part["image_url"]}}
    raise BadRequestError(f"content of type {part.get('type')!r} has no place in this model's dialect")


def usage_for_responses(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.in_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.out_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.in_tokens + usage.out_tokens,
    }


def usage_of_response(usage: Any) -> Usage | None:
    if not isinstance(usage, Mapping) or not isinstance(usage.get("input_tokens"), int):
        return None
    return Usage(
        in_tokens=usage["input_tokens"],
        out_tokens=int(usage.get("output_tokens") or 0),
        cached_tokens=int((usage.get("input_tokens_details") or {}).get("cached_tokens") or 0),
        reasoning_tokens=int((usage.get("output_tokens_details") or {}).get("reasoning_tokens") or 0),
    )


def response_from_chat(answer: Mapping[str, Any], usage: Usage) -> dict[str, Any]:
    choice = (answer.get("choices") or [{}])[0]
    message = choice.get("message") or {}
    output: list[dict[str, Any]] = []
    if message.get("content"):
        output.append(_message_item("msg_0", message["content"]))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        output.append(
            _call_item(f"fc_{len(output)}", call.get("id"), function.get("name"), function.get("arguments") or "{}")
        )
    response = _response(str(answer.get("id") or "resp_local"), answer.get("model"), int(answer.get("created") or 0))
    return _ended(response, output, str(choice.get("finish_reason")), usage)


def _response(id_: str, model: Any, created: int) -> dict[str, Any]:
    return {
        "id": id_,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "model": model,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
    }


def _ended(response: dict[str, Any], output: list[Any], finish: str, usage: Usage) -> dict[str, Any]:
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
    response |= {
        "output": output,
        "usage": usage_for_responses(usage),
        "status": "incomplete" if cut else "completed",
    }
    if cut:
        response["incomplete_details"] = {"reason": cut}
    return response


def _message_item(id_: str, text: str, status: str = "completed") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}] if text else []
    return {"id": id_, "type": "message", "role": "assistant", "status": status, "content": content}


def _call_item(id_: str, call_id: Any, name: Any, arguments: str, status: str = "completed") -> dict[str, Any]:
    told = {"id": id_, "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
    return {**told, "status": status}


class ResponsesEncoder:
    """Chat chunks in, responses events out."""

    def __init__(self, model: str) -> None:
        self._response = _response("resp_local", model, 0)
        self._number = -1
        self._started = False
        self._open: str | int | None = None
        self._item: dict[str, Any] = {}
        self._text = ""
        self._output: list[dict[str, Any]] = []
        self._finish = "stop"

    def _event(self, kind: str, **told: Any) -> bytes:
        self._number += 1
        return named_event(kind, {"type": kind, "sequence_number": self._number, **told})

    def encode(self, chunk: Mapping[str, Any]) -> bytes:
        out = b"" if self._started else self._start(chunk)
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("content"):
                out += self._say(delta["content"])
            for call in delta.get("tool_calls") or ():
                out += self._call(call)
            self._finish = choice.get("finish_reason") or self._finish
        return out

    def _start(self, chunk: Mapping[str, Any]) -> bytes:
        self._started = True
        self._response["id"] = str(chunk.get("id") or "resp_local")
        self._response["model"] = chunk.get("model") or self._response["model"]
        self._response["created_at"] = int(chunk.get("created") or 0)
        first = self._event("response.created", response=dict(self._response))
        return first + self._event("response.in_progress", response=dict(self._response))

    def _where(self) -> dict[str, Any]:
        return {"item_id": self._item["id"], "output_index": len(self._output)}

    def _say(self, text: str) -> bytes:
        out = b""
        if self._open != "text":
            out = self._closed()
            self._open = "text"
            self._item = _message_item(f"msg_{len(self._output)}", "", "in_progress")
            out += self._event("response.output_item.added", output_index=len(self._output), item=self._item)
            part = {"type": "output_text", "text": "", "annotations": []}
            out += self._event("response.content_part.added", **self._where(), content_index=0, part=part)
        self._text += text
        return out + self._event(
            "response.output_text.delta", **self._where(), content_index=0, delta=text, logprobs=[]
        )

    def _call(self, call: Mapping[str, Any]) -> bytes:
        function, out = call.get("function") or {}, b""
        index = int(call.get("index") or 0)
        if self._open != index:
            out = self._closed()
            self._open = index
            self._item = _call_item(f"fc_{len(self._output)}", call.get("id"), function.get("name"), "", "in_progress")
            out += self._event("response.output_item.added", output_index=len(self._output), item=self._item)
        if function.get("arguments"):
            self._text += function["arguments"]
            out += self._event("response.function_call_arguments.delta", **self._where(), delta=function["arguments"])
        return out

    def _closed(self) -> bytes:
        if self._open is None:
            return b""
        where, text = self._where(), self._text
        if self._open == "text":
            item = _message_item(self._item["id"], text)
            part = {"type": "output_text", "text": text, "annotations": []}
            out = self._event("response.output_text.done", **where, content_index=0, text=text, logprobs=[])
            out += self._event("response.content_part.done", **where, content_index=0, part=part)
        else:
            item = {**self._item, "arguments": text, "status": "completed"}
            out = self._event("response.function_call_arguments.done", **where, arguments=text, name=item["name"])
        out += self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._open, self._text = None, ""
        return out

    def finish(self, usage: Usage) -> bytes:
        out = (b"" if self._started else self._start({})) + self._closed()
        ended = _ended(self._response, self._output, self._finish, usage)
        kind = "response.incomplete" if ended["status"] == "incomplete" else "response.completed"
        return out + self._event(kind, response=ended)

    def fail(self, _kind: str, message: str, code: str) -> bytes:
        return self._event("error", code=code, message=message, param=None)
