"""A hostile guest for the gateway's tests: on request it does what no plugin should, in the ways that Python offers. A pod's
annotations `resolve` and `authorize` name the deed for that phase, and the configuration's `init` names the deed for `init`."""

import asyncio
import builtins
import gc
import json
import os
import random
import re
import sys
import threading
import time

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import host
from wit_world.imports.types import (
    CredentialSource_AssumeRole,
    Denial,
    Interest,
    Resolution_Abstain,
    Resolution_Deny,
    Resolution_Role,
    Role,
    Verdict_Abstain,
    Verdict_Deny,
)

LEFT = []
text = ""


def spin(*_):
    while True:
        pass


def raises(error):
    raise error


def grow(more):
    held = []
    while True:
        held.append(more())


class Odd:
    """An object that runs its own code in each possible way."""

    def __init__(self, act):
        self.act = act

    def __str__(self):
        return self.act()

    __repr__ = __bool__ = __len__ = __iter__ = __str__

    @property
    def value(self):
        return self.act()


class Ended:
    def __del__(self):
        spin()


class Loud(Exception):
    def __str__(self):
        return spin()


def in_finally():
    try:
        spin()
    except BaseException:
        spin()
    finally:
        spin()


def in_generator():
    def endless():
        while True:
            try:
                yield
            except BaseException:
                continue

    for _ in endless():
        pass


def ended_in_cycle():
    ended = Ended()
    ended.itself = ended
    del ended
    gc.collect()


def doubled(value):
    while True:
        value += value


def grow_and_go_on():
    held = []
    while True:
        try:
            held.append(bytearray(1 << 16))
        except BaseException:
            pass


def recurse():
    return recurse() + 1


def recurse_on():
    sys.setrecursionlimit(1 << 30)
    return recurse()


def recurse_natively():
    sys.setrecursionlimit(1 << 30)
    deep = []
    for _ in range(1 << 18):
        deep = [deep]
    return repr(deep)


def nested_text():
    return json.loads(text)


async def later():
    return None


def role(**changes):
    plain = dict(arn="a", source=CredentialSource_AssumeRole(), session_name=None, external_id=None, duration_seconds=None)
    lists = dict(tags=[], session_policy=None, policy_arns=[], attributes=[])
    return Resolution_Role(Role(**(plain | lists | changes)))


def flood(lines):
    for line in range(lines):
        host.log(host.Level.INFO, f"hostile line {line}")


def flood_for_ever():
    while True:
        flood(1000)


def leave():
    LEFT.append("something")
    DEEDS["abstain"] = lambda: "left"
    builtins.left = os.environ["LEFT"] = "something"
    sys.modules["json"] = None
    Plugin.init = Plugin.authorize_path = spin


def patch():
    builtins.len = builtins.isinstance = json.loads = spin
    Verdict_Abstain.__init__ = Resolution_Abstain.__init__ = spin


def say_what_is_left():
    return f"{LEFT} {hasattr(builtins, 'left')} {sys.modules['json'] is json} {'LEFT' in os.environ}"


# If a deed returns a text, it is the reason of a denial; None means abstain; any other value is the answer itself.
DEEDS = {
    "abstain": lambda: None,
    "loop": spin,
    "loop-in-str": lambda: f"{Odd(spin)}",
    "loop-in-answer": lambda: Odd(spin),
    "loop-in-denial": lambda: Verdict_Deny(Odd(spin)),
    "loop-in-del": lambda: Ended() and None,
    "loop-in-del-of-cycle": ended_in_cycle,
    "loop-in-finally": in_finally,
    "loop-in-generator": in_generator,
    "loop-in-raised": lambda: raises(Loud()),
    "loop-in-sort": lambda: sorted([Odd(spin), Odd(spin)], key=str),
    "backtrack": lambda: str(re.match(r"(a+)+$", "a" * 64 + "b")),
    "loop-in-big-numbers": lambda: grow(lambda: 3 ** 3**12 and None),
    "sleep": lambda: time.sleep(60),
    "recurse": recurse,
    "recurse-on": recurse_on,
    "recurse-natively": recurse_natively,
    "parse-text": lambda: type(nested_text()).__name__,
    "eval-text": lambda: type(eval(text)).__name__,
    "grow-list": lambda: grow(lambda: [0] * 10000),
    "grow-bytes": lambda: grow(lambda: bytearray(1 << 16)),
    "double-text": lambda: doubled("s"),
    "double-bytes": lambda: doubled(b"s"),
    "huge-list-at-once": lambda: [0] * (1 << 30),
    "grow-and-go-on": grow_and_go_on,
    "raise-err": lambda: raises(Err("raised")),
    "raise-err-of-number": lambda: raises(Err(5)),
    "raise-err-of-none": lambda: raises(Err(None)),
    "raise-err-huge": lambda: raises(Err("e" * (1 << 20))),
    "raise-err-lone-surrogate": lambda: raises(Err("\ud800")),
    "raise-exception": lambda: raises(ValueError("raised")),
    "raise-base-exception": lambda: raises(BaseException("raised")),
    "raise-system-exit": lambda: sys.exit(0),
    "raise-keyboard-interrupt": lambda: raises(KeyboardInterrupt()),
    "raise-generator-exit": lambda: raises(GeneratorExit()),
    "answer-number": lambda: 5,
    "answer-class": lambda: Verdict_Abstain,
    "answer-object": lambda: object(),
    "answer-denial-of-none": lambda: Verdict_Deny(None),
    "answer-denial-of-numbers": lambda: Resolution_Deny(Denial(5, 5)),
    "answer-huge": lambda: "h" * (1 << 20),
    "answer-long": lambda: "h" * 1025,
    "answer-lone-surrogate": lambda: "\ud800",
    "answer-nul": lambda: "a\0b",
    "answer-many-pairs": lambda: role(tags=[(f"k{n}", "") for n in range(257)]),
    "answer-odd-duration": lambda: role(duration_seconds=-1),
    "answer-pairs-of-one": lambda: role(tags=[("k",)]),
    "coroutine": later,
    "event-loop": lambda: asyncio.run(asyncio.sleep(60)),
    "log-flood": lambda: flood(1000),
    "log-for-ever": flood_for_ever,
    "log-huge": lambda: host.log(host.Level.INFO, "h" * (1 << 20)),
    "log-number": lambda: host.log(host.Level.INFO, 5),
    "log-unknown-level": lambda: host.log("loud", "x"),
    "log-raising": lambda: host.log(host.Level.INFO, Odd(lambda: raises(ValueError("raised")))),
    "print": lambda: print("printed"),
    "time": lambda: str(time.time()),
    "monotonic": lambda: str(time.monotonic()),
    "random": lambda: str(random.random()),
    "system-random": lambda: str(random.SystemRandom().random()),
    "urandom": lambda: str(os.urandom(8)),
    "environ": lambda: str(dict(os.environ)),
    "open": lambda: open("/etc/passwd").read(),
    "write": lambda: open("left", "w").write("left") and None,
    "listdir": lambda: str(os.listdir("/")),
    "import": lambda: __import__("html.parser").__name__,
    "socket": lambda: __import__("socket").create_connection(("169.254.169.254", 80)),
    "thread": lambda: threading.Thread(target=spin).start(),
    "exit": lambda: os._exit(0),
    "abort": lambda: os.abort(),
    "system": lambda: os.system("true"),
    "kill": lambda: os.kill(os.getpid(), 9),
    "leave": leave,
    "patch": patch,
    "say-what-is-left": say_what_is_left,
}


def decide(phase, workload, abstain, deny):
    global text
    annotations = dict(workload.annotations)
    text = annotations.get("text", "")
    answer = DEEDS[annotations.get(phase, "abstain")]()
    if answer is None:
        return abstain()
    return deny(Denial("told", answer)) if isinstance(answer, str) else answer


class Plugin(exports.Plugin):
    def init(self, config_json):
        answer = DEEDS[json.loads(config_json).get("init", "abstain")]()
        return Interest([], ["resolve", "authorize", "text"], [], [], [], []) if answer is None else answer

    def resolve(self, workload):
        return decide("resolve", workload, Resolution_Abstain, Resolution_Deny)

    def authorize(self, workload, role):
        return decide("authorize", workload, Verdict_Abstain, Verdict_Deny)

    def authorize_path(self, workload, path):
        return Verdict_Abstain()
