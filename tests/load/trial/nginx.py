"""A real nginx, configured as ingress-nginx would configure it from an Ingress' annotations."""

import os
import socket
import subprocess
import time
from pathlib import Path

PREFIX = "nginx.ingress.kubernetes.io/"
# What ingress-nginx writes where no annotation says otherwise (internal/ingress/controller/config/config.go).
DEFAULTS = {
    "proxy-connect-timeout": "5",
    "proxy-send-timeout": "60",
    "proxy-read-timeout": "60",
    "proxy-next-upstream": "error timeout",
    "proxy-next-upstream-timeout": "0",
    "proxy-next-upstream-tries": "3",
}
SECONDS = {name for name in DEFAULTS if name.endswith("timeout")}
# As in ingress-nginx: pods come and go in a table in memory, without a reload, and a module in Lua picks one.
TEMPLATE = """
load_module {root}/usr/lib/nginx/modules/ndk_http_module.so;
load_module {root}/usr/lib/nginx/modules/ngx_http_lua_module.so;
daemon off;
worker_processes 1;
pid {work}/nginx.pid;
error_log {work}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/f;
  uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;
  lua_package_path "{root}/usr/share/lua/5.1/?.lua;{root}/usr/share/lua/5.1/?/init.lua;;";
  init_by_lua_block {{
    pods, turn = {{}}, 0
    balancer = require "ngx.balancer"
  }}
  upstream pods {{
    server 0.0.0.1;
    balancer_by_lua_block {{
      if not ngx.ctx.tried then balancer.set_more_tries(2) end
      ngx.ctx.tried = true
      turn = turn + 1
      balancer.set_current_peer(pods[turn % #pods + 1], 8000)
    }}
    keepalive 320;
    keepalive_timeout 60s;
    keepalive_requests 10000;
  }}
  server {{
    listen unix:{work}/configuration.sock;
    location / {{
      content_by_lua_block {{
        ngx.req.read_body()
        local listed = {{}}
        for address in ngx.req.get_body_data():gmatch("%S+") do listed[#listed + 1] = address end
        pods = listed
        ngx.say(#pods)
      }}
    }}
  }}
  server {{
    listen 127.0.0.1:{port};
    keepalive_timeout 75s;
    keepalive_requests 1000000;
    location / {{
      proxy_pass http://pods;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
{directives}
    }}
  }}
}}
"""


def directives(annotations: dict[str, str]) -> str:
    """Return the directives that the annotations become."""
    values = {name: annotations.get(PREFIX + name, value) for name, value in DEFAULTS.items()}
    return "\n".join(
        f"      {name.replace('-', '_')} {value}{'s' if name in SECONDS else ''};" for name, value in values.items()
    )


class Nginx:
    """One nginx on a port of 127.0.0.1."""

    name = "nginx"

    def __init__(self, root: Path, work: Path, port: int, annotations: dict[str, str]):
        work.mkdir(parents=True)
        self._work = work
        text = TEMPLATE.format(root=root, work=work, port=port, directives=directives(annotations))
        (work / "nginx.conf").write_text(text)
        environment = {**os.environ, "LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"}
        program = [str(root / "usr/sbin/nginx"), "-p", str(work), "-c", str(work / "nginx.conf"), "-e", str(work / "error.log")]
        self._process = subprocess.Popen(program, env=environment)
        end = time.monotonic() + 10
        while not (work / "configuration.sock").exists():
            if time.monotonic() > end:
                raise TimeoutError("nginx does not start: " + self.log())
            time.sleep(0.1)

    def pods(self, addresses: list[str]) -> None:
        """Send requests to these pods from now on."""
        body = " ".join(addresses).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self._work / "configuration.sock"))
            head = f"POST / HTTP/1.0\r\nHost: configuration\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        if not answer.endswith(f"{len(addresses)}\n".encode()):
            raise RuntimeError(f"nginx did not take the pods: {answer!r}")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)

    def log(self) -> str:
        """Return what it wrote about errors."""
        return (self._work / "error.log").read_text()
