"""The command: serve, explain, eval, costs, and a few small helpers for whoever runs it."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from factorylm_router.errors import RouterError
from factorylm_router.ledger import GROUPS

POLICIES = ("router", "always-cheap", "always-premium", "two-agree", "two-of-three", "random")


def main(argv: Sequence[str] | None = None) -> int:
    """0: done, 1: it failed, 2: wrong usage."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    try:
        return int(arguments.run(arguments))
    except RouterError as error:
        sys.stderr.write(f"factorylm-router: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="factorylm-router",
        description="An OpenAI-compatible proxy: the cheapest model that is good enough.",
        epilog="example: factorylm-router serve --simulate",
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    _add_explain(commands)
    _add_eval(commands)
    _add_compare(commands)
    _add_costs(commands)
    _add_learn(commands)
    _add_trial(commands)
    _add_key(commands)
    return top


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, told: str, example: str
) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=told, description=told, epilog=f"example: factorylm-router {example}")


def _with_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, default=Path("router.toml"), help="the TOML file (router.toml)")


def _add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(commands, "serve", "Serve the proxy until told to stop.", "serve --config router.toml")
    _with_config(command)
    command.add_argument(
        "--simulate", action="store_true", help="in front of scripted models on this machine, no keys needed"
    )
    command.add_argument("--port", type=int, default=8400, help="with --simulate: the port (8400)")
    command.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    from factorylm_router.service import serve, serve_simulated

    def announce(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    job = serve_simulated(arguments.port, announce) if arguments.simulate else serve(arguments.config, announce)
    if sys.platform == "win32":
        asyncio.run(job)
    else:
        import uvloop

        uvloop.run(job)
    return 0


def _add_explain(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    told = "Say why a request went where it went, or where a prompt would go."
    command = _command(commands, "explain", told, 'explain --prompt "How many litres are 3 m3?"')
    _with_config(command)
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--request", help="an X-FactoryLM-Request-Id")
    which.add_argument("--prompt", help="what would be asked")
    command.add_argument("--model", default="auto", help="with --prompt: the model a client would name (auto)")
    command.add_argument("--data-class", help="with --prompt: plant, redacted or public")
    command.add_argument("--stream", action="store_true", help="with --prompt: as a streaming request")
    command.add_argument("--json", action="store_true", help="for scripts")
    command.set_defaults(run=_explain)


def _explain(arguments: argparse.Namespace) -> int:
    from factorylm_router.reports import explain_prompt, explain_request

    if arguments.request:
        text = asyncio.run(explain_request(arguments.config, arguments.request, as_json=arguments.json))
    else:
        text = explain_prompt(
            arguments.config, arguments.prompt, arguments.model, arguments.data_class,
            stream=arguments.stream, as_json=arguments.json,
        )  # fmt: skip
    sys.stdout.write(text + "\n")
    return 0


def _add_eval(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    told = "Replay recorded answers through a policy; it may look only at what it has called."
    command = _command(
        commands,
        "eval",
        told,
        "eval --data day.jsonl --sets sets.json --case default --policy router --out decisions.jsonl",
    )
    command.add_argument(
        "--data", type=Path, nargs="+", required=True, help="files of recorded answers (.jsonl, .jsonl.gz)"
    )
    command.add_argument("--sets", type=Path, required=True, help="the sets.json with roles and prices")
    command.add_argument("--case", default="default", help="the roles to use (default)")
    command.add_argument("--policy", choices=POLICIES, default="router", help="who decides (router)")
    command.add_argument(
        "--fit",
        type=Path,
        nargs="+",
        default=[],
        help="fit the verifier on these files instead of the one that ships",
    )
    command.add_argument("--rate", type=float, help="what a right answer is worth, in premium calls (as fitted: 2.5)")
    command.add_argument(
        "--keep-same-questions", action="store_true", help="also fit on questions that are judged (flatters)"
    )
    command.add_argument("--out", type=Path, required=True, help="one decision per line")
    command.add_argument("--json", action="store_true", help="the summary for scripts")
    command.set_defaults(run=_eval)


def _eval(arguments: argparse.Namespace) -> int:
    from factorylm_router.evaluation import evaluate

    report = evaluate(
        arguments.data, arguments.sets, arguments.case, arguments.policy, arguments.fit, arguments.out,
        rate=arguments.rate, split_by_text=not arguments.keep_same_questions,
    )  # fmt: skip
    sys.stdout.write(report.as_json() if arguments.json else report.as_text())
    return 0


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    told = "Compare two policies' decisions on the same recorded rows by a sequential test."
    command = _command(commands, "compare", told, "compare --data day.jsonl --old now.jsonl --new next.jsonl")
    command.add_argument("--data", type=Path, nargs="+", required=True, help="the recorded answers, with scores")
    command.add_argument("--old", type=Path, required=True, help="decisions of the policy in use")
    command.add_argument("--new", type=Path, required=True, help="decisions of the one that may replace it")
    command.set_defaults(run=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from factorylm_router.evaluation import compare

    sys.stdout.write(compare(arguments.data, arguments.old, arguments.new))
    return 0


def _add_costs(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(
        commands,
        "costs",
        "What was spent, and what premium alone would have cost.",
        "costs --by model --days 30",
    )
    _with_config(command)
    command.add_argument("--by", choices=GROUPS, default="model", help="one line per (model)")
    command.add_argument("--days", type=float, default=30, help="how far back (30)")
    command.add_argument(
        "--statement",
        type=Path,
        help="a provider's statement (JSON lines with attempt_id, cost_usd): settle estimates",
    )
    command.add_argument("--json", action="store_true", help="for scripts")
    command.set_defaults(run=_costs)


def _costs(arguments: argparse.Namespace) -> int:
    from factorylm_router.reports import costs, settle_statement

    if arguments.statement:
        sys.stderr.write(asyncio.run(settle_statement(arguments.config, arguments.statement)) + "\n")
    sys.stdout.write(asyncio.run(costs(arguments.config, arguments.by, arguments.days, as_json=arguments.json)) + "\n")
    return 0


def _add_learn(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    told = "Recalibrate the verifier on this plant's shadow samples; written only if that is better."
    command = _command(commands, "learn", told, "learn --out verifier.json")
    _with_config(command)
    command.add_argument("--out", type=Path, required=True, help="then name it as routing.verifier_file")
    command.set_defaults(run=_learn)


def _learn(arguments: argparse.Namespace) -> int:
    from factorylm_router.reports import learn

    sys.stdout.write(asyncio.run(learn(arguments.config, arguments.out)) + "\n")
    return 0


def _add_trial(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    told = "How the verifier on trial stands against the one in use, on live requests."
    _with_config(command := _command(commands, "trial", told, "trial --config router.toml"))
    command.set_defaults(run=_trial)


def _trial(arguments: argparse.Namespace) -> int:
    from factorylm_router.reports import trial

    sys.stdout.write(asyncio.run(trial(arguments.config)) + "\n")
    return 0


def _add_key(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    command = _command(
        commands, "key", "Make a key for a client: shown once, the file keeps its hash.", "key ops-laptop"
    )
    command.add_argument("name", help="who will use it")
    command.set_defaults(run=_key)


def _key(arguments: argparse.Namespace) -> int:
    from factorylm_router.reports import new_key

    sys.stdout.write(new_key(arguments.name) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
