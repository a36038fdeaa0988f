# ruff: noqa: E501 - a table: one entry a line
"""Family H: the guest owns its end of the wire. Whatever it writes there are claims, and the host survives all of them."""

from tests.escapes.attack import CONTAINED, KILLED, RAISED, REFUSED, RETURNED, Attack, Ends, program

CHANNEL = "READ, WRITE = 0, 0\n"
CHANNEL_IN_A_CONTAINER = """
import gc
READ, WRITE = next(
    (each._descriptor, each._write_to) for each in gc.get_objects()
    if type(each).__name__ == "Channel" and each._descriptor > 0
)
"""
SPEAK = (
    "import os\n"
    + CHANNEL
    + """
def frame(payload):
    return len(payload).to_bytes(4, "big") + payload
def put(data):
    while data:
        data = data[os.write(WRITE, data):]
def get():
    size = int.from_bytes(os.read(READ, 4), "big")
    data = b""
    while len(data) < size:
        data += os.read(READ, size - len(data))
    return data
CALL = b'{"kind":"call","service":"%s","action":"%s","args":{"key":"x","n":1}}'
DONE = b'{"kind":"done","output":"forged"}'
"""
)

VIOLATION: Ends = KILLED
WALL: Ends = frozenset({"wall_time_exceeded"})


def speaks(
    id: str, technique: str, body: str, bare: Ends, *, source: str = "Monty, untrusted children; own", calls: str = ""
) -> Attack:
    """A program that writes to the wire by itself. The policy refuses its first import; without it, the wire must hold."""
    lines = "".join(f"    {line}\n" for line in program(body).splitlines())
    return Attack(
        id=f"protocol-{id}",
        technique=technique,
        source=source,
        layer="broker",
        program=f"{SPEAK.lstrip()}def run(hint: dict, services=None):\n{lines}",
        guarded=REFUSED,
        bare=bare,
        calls=frozenset(calls.split()),
        limits={"wall_seconds": 1, "cpu_seconds": 1},
    )


def one_frame(id: str, technique: str, payload: str, bare: Ends = VIOLATION) -> Attack:
    """One frame whose payload is the value of a Python expression; then the ordinary end."""
    return speaks(id, technique, f"put(frame({payload}))\nos._exit(0)", bare)


CLOSING = [
    speaks("forged-answer", "an answer of one's own, and the process gone", "put(frame(DONE))\nos._exit(0)", RETURNED),
    speaks("forged-answer-then-return", "a forged answer, then the real one", "put(frame(DONE))\nreturn 'real'", CONTAINED),
    speaks("two-answers", "two closing frames in one write", "put(frame(DONE) + frame(DONE))\nos._exit(0)", VIOLATION),
    speaks("call-after-answer", "a call after the closing frame", """
        put(frame(DONE) + frame(CALL % (b"after", b"close")))
        os._exit(0)
        """, VIOLATION),
    speaks("call-after-answer-later", "a call after the closing frame, in a write of its own", """
        put(frame(DONE))
        put(frame(CALL % (b"after", b"close")) * 50)
        os._exit(0)
        """, CONTAINED),
    speaks("log-after-answer", "a log line after the closing frame", """
        put(frame(DONE) + frame(b'{"kind":"log","lines":["ESCAPED after the end"]}'))
        os._exit(0)
        """, VIOLATION),
    speaks("stay-after-answer", "an answer, and then the process stays", """
        put(frame(DONE))
        while True:
            pass
        """, CONTAINED | WALL | {"cpu_time_exceeded"}),
    speaks("bytes-after-answer", "half a frame after the closing one", "put(frame(DONE) + b'\\0\\0')\nos._exit(0)", VIOLATION),
    one_frame("answer-and-failure", "both an output and a failure",
              'b\'{"kind":"done","output":1,"failure":{"code":"agent_error","message":"m"}}\'', CONTAINED | RAISED),
    one_frame("answer-of-a-check", "the answer of a check job from a run: code for the cache",
              'b\'{"kind":"done","checked":{"problems":[],"entry":"run"},"code":"AAAA"}\'', VIOLATION),
    one_frame("answer-of-a-probe", "the answer of the jail's self-test", 'b\'{"kind":"done","denied":true}\'', VIOLATION),
    one_frame("empty-answer", "a closing frame that says nothing", 'b\'{"kind":"done"}\'', VIOLATION),
    one_frame("forged-failure-code", "a failure with the code of a limit", """
        b'{"kind":"done","failure":{"code":"wall_time_exceeded","type":"X","message":"m","frames":[]}}'""".strip(),
              VIOLATION | RAISED),
    one_frame("unknown-failure-code", "a failure with a code that nobody knows",
              'b\'{"kind":"done","failure":{"code":"engine_unavailable","type":"X","message":"m","frames":[]}}\'',
              VIOLATION | RAISED),
    one_frame("failure-types", "a failure whose every field has another type",
              'b\'{"kind":"done","failure":{"code":["a"],"type":{"a":1},"message":7,"frames":"no"}}\'', VIOLATION | RAISED),
    one_frame("failure-is-text", "a failure that is text", 'b\'{"kind":"done","failure":"agent_error"}\'', VIOLATION | RAISED),
    one_frame("failure-frames", "traceback lines that do not exist, a million of them",
              'b\'{"kind":"done","failure":{"code":"agent_error","type":"X","message":"m","frames":[\' + '
              'b",".join([b\'[-1,"f"]\'] * 9000 + [b"[1e308,7]", b"[99999999999999999999,\\"x\\"]"]) + b"]}}"',
              VIOLATION | RAISED),
    one_frame("failure-message", "a failure message of almost two megabytes, with terminal controls",
              'b\'{"kind":"done","failure":{"code":"agent_error","type":"X","message":"\' + b"\\\\u001b[2Jx" * 150000 + '
              'b\'","frames":[]}}\'', VIOLATION | RAISED),
]  # fmt: skip

LENGTHS = [
    speaks("length-huge", "a header that promises four gigabytes", "put(b'\\xff\\xff\\xff\\xff' + b'x' * 100)\nreturn 1", VIOLATION),
    speaks("length-over", "a frame one byte over the limit", "put((2097153).to_bytes(4, 'big') + b' ' * 2097153)\nreturn 1",
           VIOLATION | {"output_too_large"}),
    speaks("length-zero", "an empty frame", "put(bytes(4))\nreturn 1", VIOLATION),
    speaks("length-zero-flood", "empty frames without end", "while True:\n    put(bytes(40000))", VIOLATION),
    speaks("length-short", "a frame cut short by the end of the process", "put(b'\\0\\0\\1\\0' + b'{')\nos._exit(0)", VIOLATION),
    speaks("length-short-then-wait", "a frame that is never finished", """
        put(b'\\0\\0\\1\\0' + b'{')
        import time
        while True:
            time.sleep(1)
        """, WALL),
    speaks("length-lie", "a length one too small: the next frame starts inside this one",
           "put((len(DONE) - 1).to_bytes(4, 'big') + DONE)\nos._exit(0)", VIOLATION),
    speaks("one-byte-at-a-time", "every byte in a write of its own", """
        for byte in frame(DONE):
            put(bytes([byte]))
        os._exit(0)
        """, RETURNED),
    speaks("noise", "random bytes without end", "while True:\n    put(os.urandom(60000))", VIOLATION),
    speaks("silence", "nothing is said, ever", "while True:\n    get()", WALL | VIOLATION),
]  # fmt: skip

PAYLOADS = [
    one_frame("not-json", "not JSON", "b'hello'"),
    one_frame("pickle", "a pickle that runs a program when it is read", "b\"cos\\nsystem\\n(S'touch /tmp/%s'\\ntR.\" % hint['mark'].encode()"),
    one_frame("marshal", "marshalled code", "__import__('marshal').dumps(run.__code__)"),
    one_frame("invalid-utf8", "bytes that are not UTF-8", 'b\'{"kind":"done","output":"\\xff\\xfe"}\''),
    one_frame("surrogate", "half of a surrogate pair, escaped", 'b\'{"kind":"done","output":"\\\\ud800"}\''),
    one_frame("surrogate-bytes", "half of a surrogate pair, encoded", 'b\'{"kind":"done","output":"\\xed\\xa0\\x80"}\''),
    one_frame("zero", "U+0000, escaped", 'b\'{"kind":"done","output":"\\\\u0000"}\''),
    one_frame("zero-in-key", "U+0000 in a key", 'b\'{"kind":"done","output":{"\\\\u0000":1}}\''),
    one_frame("nan", "NaN", 'b\'{"kind":"done","output":NaN}\''),
    one_frame("infinity", "a number past every float", 'b\'{"kind":"done","output":1e999}\''),
    one_frame("digits", "an integer of a hundred thousand digits", 'b\'{"kind":"done","output":\' + b"9" * 100000 + b"}"'),
    one_frame("many-digits", "integers of four thousand digits, two hundred of them",
              'b\'{"kind":"done","output":[\' + b",".join([b"9" * 4000] * 200) + b"]}"', VIOLATION | RETURNED),
    one_frame("deep", "arrays nested a million deep", 'b\'{"kind":"done","output":\' + b"[" * 900000 + b"]" * 900000 + b"}"'),
    one_frame("deep-object", "objects nested a hundred thousand deep", "b'{\"kind\":' * 100000 + b'1' + b'}' * 100000"),
    one_frame("deep-unclosed", "brackets that never close", 'b\'{"kind":"done","output":\' + b"[" * 1900000'),
    one_frame("deep-in-strings", "brackets inside strings are no depth",
              'b\'{"kind":"done","output":"\' + b"[{" * 90000 + b\'"}\'', RETURNED),
    one_frame("quotes-without-end", "escaped quotes that never close: a pattern that backtracks never comes back",
              'b\'{"kind":"log","lines":\' + b"[" * 70 + b\'"\' + b\'\\\\"\' * 900000'),
    one_frame("backslashes-without-end", "backslashes without end",
              'b\'{"kind":"log","lines":\' + b"[" * 70 + b\'"\' + b"\\\\" * 1900000'),
    one_frame("amplification", "six hundred thousand empty objects: each costs the reader many times its bytes",
              'b\'{"kind":"done","output":[\' + b"{}," * 600000 + b"{}]}"', frozenset({"output_too_large"})),
    one_frame("many-keys", "a hundred thousand keys", 'b\'{"kind":"done","output":{\' + '
              'b",".join(b\'"k%d":1\' % n for n in range(60000)) + b"}}"', RETURNED),
    one_frame("twice-the-key", "the same key twice: two readers may disagree",
              'b\'{"kind":"log","lines":[],"kind":"done","output":"twice"}\'', VIOLATION | RETURNED),
    one_frame("byte-order-mark", "a byte order mark", 'b\'\\xef\\xbb\\xbf{"kind":"done","output":1}\''),
    one_frame("utf16", "UTF-16", '\'{"kind":"done","output":1}\'.encode("utf-16")'),
    one_frame("trailing", "a second value behind the first", 'b\'{"kind":"done","output":1}{"kind":"done","output":2}\''),
    one_frame("array", "an array instead of an object", "b'[\"done\", 1]'"),
    one_frame("text", "a text instead of an object", "b'\"done\"'"),
    one_frame("null", "null instead of an object", "b'null'"),
    one_frame("no-kind", "no kind at all", 'b\'{"output":1}\''),
    one_frame("unknown-kind", "a kind that does not exist", 'b\'{"kind":"shutdown"}\''),
    one_frame("kind-object", "a kind that cannot be a key", 'b\'{"kind":{"a":1},"output":1}\''),
    one_frame("kind-list", "a kind that is a list", 'b\'{"kind":["done"],"output":1}\''),
    one_frame("kind-null", "a kind that is null", 'b\'{"kind":null,"output":1}\''),
    one_frame("kind-of-host", "a frame that only the host sends", 'b\'{"kind":"reply","result":1}\''),
    one_frame("kind-run", "a job for somebody else", 'b\'{"kind":"run","code":"","entry":"run","input":{},"test":false}\''),
    one_frame("output-over-limit", "an output just past its limit, within the frame's",
              'b\'{"kind":"done","output":"\' + b"x" * 1100000 + b\'"}\'', frozenset({"output_too_large"})),
]  # fmt: skip

CALLS = [
    speaks("forged-call", "a call frame without the services object: the broker decides all the same", """
        put(frame(CALL % (b"email", b"send")))
        get()
        return "answered"
        """, RETURNED, calls="email.send"),
    speaks("two-calls-at-once", "two calls without waiting for the first reply",
           "put(frame(CALL % (b'first', b'call')) + frame(CALL % (b'second', b'call')))\nget()\nget()\nreturn 1",
           CONTAINED, calls="first.call second.call"),
    speaks("call-and-answer", "a call, and the closing frame without waiting for the reply",
           "put(frame(CALL % (b'first', b'call')) + frame(DONE))\nos._exit(0)", CONTAINED, calls="first.call"),
    speaks("thousand-calls", "a thousand calls in one write",
           "put(frame(CALL % (b'many', b'calls')) * 1000)\nreturn 1", VIOLATION | {"too_many_effects"}, calls="many.calls"),
    speaks("call-and-die", "a call, and death before the reply: the reply has nowhere to go",
           "put(frame(CALL % (b'first', b'call')))\nos.abort()", VIOLATION, calls="first.call"),
    speaks("never-read-replies", "calls whose replies are never read", """
        while True:
            put(frame(CALL % (b'many', b'calls')))
        """, VIOLATION | WALL | {"too_many_effects", "cpu_time_exceeded"}, calls="many.calls"),
    one_frame("call-args-list", "arguments that are a list", 'b\'{"kind":"call","service":"kv","action":"get","args":[1]}\''),
    one_frame("call-args-text", "arguments that are text", 'b\'{"kind":"call","service":"kv","action":"get","args":"x"}\''),
    one_frame("call-no-args", "no arguments at all", 'b\'{"kind":"call","service":"kv","action":"get"}\''),
    one_frame("call-service-number", "a service that is a number", 'b\'{"kind":"call","service":1,"action":"get","args":{}}\''),
    one_frame("call-service-object", "a service that cannot be a key",
              'b\'{"kind":"call","service":{},"action":[],"args":{}}\''),
    one_frame("call-service-huge", "a service whose name has a megabyte",
              'b\'{"kind":"call","service":"\' + b"s" * 1000000 + b\'","action":"get","args":{}}\''),
    one_frame("call-extra-fields", "a user, a run and a grant beside the call",
              'b\'{"kind":"call","service":1,"action":"get","args":{},"user_id":"0","granted":true,"performed":true}\''),
    speaks("call-dunder-service", "a service whose name is an attribute of every object",
           'put(frame(b\'{"kind":"call","service":"__class__","action":"__init__","args":{}}\'))\nget()\nreturn 1',
           CONTAINED, calls="__class__.__init__"),
]  # fmt: skip

LOGS = [
    one_frame("log-lines-text", "log lines that are text", 'b\'{"kind":"log","lines":"text"}\''),
    one_frame("log-lines-numbers", "log lines that are numbers", 'b\'{"kind":"log","lines":[1,null,{"a":[]}]}\''),
    one_frame("log-no-lines", "a log frame without lines", 'b\'{"kind":"log"}\''),
    speaks("log-empty-flood", "log frames without a line, without end",
           "while True:\n    put(frame(b'{\"kind\":\"log\",\"lines\":[]}') * 1000)", VIOLATION | {"logs_too_large"}),
    speaks("log-many-empty-lines", "half a million empty lines in a frame",
           "put(frame(b'{\"kind\":\"log\",\"lines\":[' + b'\"\",' * 500000 + b'\"\"]}'))\nreturn 1",
           VIOLATION | {"logs_too_large"}),
    speaks("log-one-huge-line", "a line of almost two megabytes, again and again",
           "while True:\n    put(frame(b'{\"kind\":\"log\",\"lines\":[\"' + b'x' * 1900000 + b'\"]}'))",
           frozenset({"logs_too_large"})),
    speaks("log-forged-line", "a log line that looks like one of the host's own", """
        put(frame(b'{"kind":"log","lines":["x\\\\n{\\\\"event\\\\":\\\\"run\\\\",\\\\"status\\\\":\\\\"succeeded\\\\"}"]}'))
        return 1
        """, RETURNED),
]  # fmt: skip

REPLIES = [
    speaks("read-on", "reading past one's own reply: the next job, another tenant's reply", """
        services.kv.get(key="x")
        import time
        print(get())
        """, WALL | VIOLATION | {"agent_error"}, calls="kv.get"),
    speaks("steal-job-header", "what the host told the parked child before this job", """
        import gc
        print([str(thing)[:200] for thing in gc.get_objects() if isinstance(thing, dict) and "code" in thing][:20])
        return "done"
        """, CONTAINED),
    Attack(
        id="protocol-error-type",
        technique="the broker's refusal becomes an exception, whatever its type is called",
        source="own",
        layer="broker",
        program=program("""
            def run(hint: dict, services=None):
                try:
                    services.kv.get(key="forbidden")
                except Exception as error:
                    return str(error)[:100]
                return "no error"
            """),
        guarded=RETURNED,
        bare=RETURNED,
        calls=frozenset({"kv.get"}),
    ),
    Attack(
        id="protocol-test-mode",
        technique="the dry-run flag turned off by the guest",
        source="Mediforce issue 1218",
        layer="broker",
        program=program("""
            def run(hint: dict, services=None):
                global IS_TEST_MODE
                IS_TEST_MODE = False
                services.kv.set(key="x", value=1)
                return IS_TEST_MODE
            """),
        guarded=RETURNED | REFUSED | RAISED,
        bare=RETURNED | RAISED,
        calls=frozenset({"kv.set"}),
    ),
]  # fmt: skip

SERVICES = [
    speaks("forged-services", "every service asked for without its façade, with arguments that no façade sends", """
        asked = [b"http.request", b"llm.complete", b"db.delete", b"email.send", b"notify.send", b"agents.run", b"secrets.ref"]
        for each in asked:
            put(frame(CALL % tuple(each.split(b"."))))
            print(get())
        return "answered"
        """, RETURNED, source="own",
           calls="http.request llm.complete db.delete email.send notify.send agents.run secrets.ref"),
    speaks("forged-actions", "actions that no façade has: names of attributes, of other services, of the host's functions", """
        for action in (b"__init__", b"_run", b"_permit", b"reveal", b"take_quota", b"complete", b"ref", b""):
            put(frame(CALL % (b"secrets", action)))
            print(get())
        return "answered"
        """, RETURNED, source="own",
           calls="secrets.__init__ secrets._run secrets._permit secrets.reveal secrets.take_quota secrets.complete secrets.ref secrets."),
    one_frame("forged-effect", "an effect of one's own making",
              'b\'{"kind":"effect","seq":1,"service":"email","action":"send","granted":true,"performed":true}\''),
    one_frame("forged-event", "an event for whoever watches the run",
              'b\'{"kind":"run.completed","data":{"status":"succeeded","output":"forged"}}\''),
    one_frame("answer-with-effects", "a closing frame that brings its own effects, recordings and usage",
              'b\'{"kind":"done","output":1,"effects":[{"service":"email"}],"recording":{},"usage":{"cpu_ms":0}}\'', CONTAINED),
    speaks("answer-during-call", "the closing frame in the middle of a call, and the call's reply as the answer of the next", """
        put(frame(CALL % (b"agents", b"run")) + frame(DONE) + frame(DONE))
        get()
        return "real"
        """, CONTAINED, source="own", calls="agents.run"),
    speaks("reply-to-oneself", "a reply frame in the place of the broker's", """
        put(frame(b'{"kind":"reply","result":{"secret":"KEY","value":"forged"}}'))
        return services.secrets.ref("KEY")
        """, VIOLATION, source="own", calls="secrets.ref"),
    speaks("call-as-parent", "a call in the name of another run, parent and depth", """
        put(frame(b'{"kind":"call","service":"agents","action":"run","args":{"name":"x","input":{}},"run_id":"0","depth":-9,"test":false}'))
        get()
        return 1
        """, CONTAINED, source="own", calls="agents.run"),
    speaks("call-deep", "arguments as deep as a frame may be, and one more", """
        for depth in (60, 90):
            put(frame(b'{"kind":"call","service":"kv","action":"set","args":{"key":"k","value":' + b"[" * depth + b"]" * depth + b"}}"))
            get()
        return 1
        """, VIOLATION, source="own", calls="kv.set"),
    speaks("call-megabytes", "calls of two megabytes, more of them than all of a run's calls together may be", """
        for _ in range(9):
            put(frame(b'{"kind":"call","service":"http","action":"request","args":{"headers":{"X":[' + b"1," * 1000000 + b"1]}}}"))
            get()
        return 1
        """, frozenset({"too_many_effects"}) | WALL | {"cpu_time_exceeded"}, source="own", calls="http.request"),
]  # fmt: skip

ATTACKS = [*CLOSING, *LENGTHS, *PAYLOADS, *CALLS, *SERVICES, *LOGS, *REPLIES]
