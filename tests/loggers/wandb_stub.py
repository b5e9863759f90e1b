"""A protocol stub of W&B's server on the loopback: enough for a run, `wandb sync`, a sweep and a saved workspace.

It accepts whatever it is sent and keeps it, so a test learns what would reach a server, not what a server would make of
it. No account, no network.
"""

import gzip
import json
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

VIEWER = {"id": "U", "entity": "me", "username": "me", "name": "me", "flags": "{}", "teams": {"edges": []}}
PROJECT = {"id": "P", "name": "project", "entity": {"id": "E", "name": "me"}, "entityName": "me"}
KEY = "0" * 40


class WandbStub(ThreadingHTTPServer):
    """Serves while it is a context manager.

    Attributes:
        operations: Names of the GraphQL operations asked for, in order.
        runs: What runs said of themselves, by id.
        history: Rows of each run, by id.
        files: Uploaded files' contents by path.
        views: Workspaces that were saved.
        sweeps: Sweeps that were made.
        broken: Whether it takes no more than what a run starts with.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.operations, self.views, self.sweeps = [], [], []
        self.runs, self.files = defaultdict(dict), {}
        self.history = defaultdict(dict)
        self.ordered = False
        self.broken = False

    @property
    def env(self):
        """Variables that lead wandb here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Say nothing of a client that has hung up."""

    def graphql(self, query, variables):
        operation = re.search(r"(?:query|mutation)\s+(\w+)", query)
        self.operations.append(operation[1] if operation else "")
        if "upsertBucket" in query:
            return {"upsertBucket": {"bucket": self.upsert(variables), "inserted": True}}
        if "createRunFiles" in query:
            run = variables.get("run") or variables.get("runName")
            files = [{"name": name, "uploadUrl": f"{self.url}/storage/{run}/{name}"} for name in variables["files"]]
            return {"createRunFiles": {"runID": "B", "uploadHeaders": [], "files": files}}
        if "RunResumeStatus" in query:
            return {"model": {**PROJECT, "bucket": self.resumed(variables["name"])}}
        if "upsertView" in query:
            self.views.append(variables)
            return {"upsertView": {"view": {"id": "V", "name": variables["name"]}, "inserted": True}}
        if "upsertSweep" in query:
            self.sweeps.append(variables)
            sweep = {"name": "S", "project": PROJECT}
            return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}
        if "SweepWithRuns" in query:
            sweep = {"id": "S1", "name": "S", "state": "RUNNING", "config": self.sweeps[-1]["config"]}
            return {"project": {"sweep": {**sweep, "runs": {"edges": []}}}}
        if "createAgent" in query:
            return {"createAgent": {"agent": {"id": "A"}}}
        if "agentHeartbeat" in query:
            return {"agentHeartbeat": {"agent": {"id": "A"}, "commands": json.dumps(self.order())}}
        versions = {"min_cli_version": "0.0.0", "max_cli_version": "99.0.0"}
        server = {"cliVersionInfo": versions, "latestLocalVersionInfo": None, "features": []}
        return {"viewer": VIEWER, "serverInfo": server, "project": None}

    def order(self):
        """What a sweep's agent is to do now: the first run of a grid, and then no more."""
        if "exitcode" in self.runs.get("swept", {}):
            return [{"type": "exit"}]
        if self.ordered:
            return []
        self.ordered = True
        parameters = yaml.safe_load(self.sweeps[-1]["config"])["parameters"]
        first = {name: {"value": options["values"][0]} for name, options in parameters.items()}
        return [{"type": "run", "run_id": "swept", "program": "", "args": first}]

    def upsert(self, variables):
        run = self.runs[variables["name"]]
        run.update({key: value for key, value in variables.items() if value is not None})
        bucket = {"id": "B", "name": run["name"], "displayName": run.get("displayName"), "config": run.get("config")}
        return {**bucket, "project": {**PROJECT, "name": run.get("project", "project")}, "historyLineCount": 0}

    def resumed(self, name):
        """What the server remembers of a run that goes on; None where it knows none."""
        if name not in self.history:
            return None
        rows = [self.history[name][line] for line in sorted(self.history[name])]
        counts = {"historyLineCount": len(rows), "eventsLineCount": 0, "logLineCount": 0}
        tails = {"historyTail": json.dumps([json.dumps(rows[-1])]), "eventsTail": "[]", "summaryMetrics": "{}"}
        config = {"config": self.runs[name].get("config", "{}"), "wandbConfig": json.dumps({"t": "started"})}
        return {"id": "B", "name": name, "tags": [], **config, **counts, **tails}

    def stream(self, run, content):
        for name, chunk in (content.get("files") or {}).items():
            if name == "wandb-history.jsonl":
                for line, row in enumerate(chunk["content"], start=chunk["offset"]):
                    self.history[run][line] = json.loads(row)
            if name == "wandb-summary.json":
                self.runs[run]["summary"] = json.loads(chunk["content"][-1])
        if content.get("complete"):
            self.runs[run]["exitcode"] = content["exitcode"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbStub

    def do_POST(self):
        content = json.loads(self.body())
        if self.path == "/graphql":
            self.answer({"data": self.server.graphql(content["query"], content.get("variables") or {})})
        elif self.server.broken:
            self.answer({}, 503)
        elif stream := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", self.path):
            self.server.stream(stream[1], content)
            self.answer({"exitcode": None, "limits": {}})
        else:
            self.answer({}, 404)

    def do_PUT(self):
        self.server.files[self.path] = self.body()
        self.answer({})

    def do_GET(self):
        self.answer({}, 404)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def answer(self, content, status=200):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
