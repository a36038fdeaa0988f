# Two images on one base, which needs Python 3.12 or 3.13 with venv:
#   runner    what agents with the engine "container" run in; first, because the classic builder builds all above a target
#   service   the host
ARG BASE_IMAGE=python:3.13-slim-trixie

FROM ${BASE_IMAGE} AS runner
COPY sandbox/__init__.py sandbox/bpf.py sandbox/wire.py /opt/agenthost/sandbox/
COPY sandbox/guest /opt/agenthost/sandbox/guest
COPY sandbox/container/__init__.py /opt/agenthost/sandbox/container/
COPY sandbox/container/inside /opt/agenthost/sandbox/container/inside
# `-I` leaves PYTHONPATH unread: a .pth file says where the guest is.
RUN packages="$(python3 -c 'import site; print(site.getsitepackages()[0])')" \
    && mkdir -p "$packages" \
    && echo /opt/agenthost >"$packages/agenthost.pth" \
    && chmod -R u=rwX,go=rX /opt/agenthost \
    && python3 -m compileall -q /opt/agenthost
USER 65532:65532
WORKDIR /tmp
# What the image or the engine sets in the environment is nothing to an agent.
ENTRYPOINT ["env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "python3", "-I", "-B", "-m", "sandbox.container.inside"]

FROM ${BASE_IMAGE} AS build
WORKDIR /build
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/agenthost
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements-runtime.lock scripts/build.lock ./
RUN tools/bin/pip install --quiet --require-hashes -r build.lock \
    && tools/bin/pip --python /opt/agenthost install --quiet --require-hashes -r requirements-runtime.lock
COPY . source
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels ./source \
    && tools/bin/pip --python /opt/agenthost install --quiet --no-deps --no-index wheels/*.whl

FROM ${BASE_IMAGE} AS service
# Reaps what outlives a restart of the sandbox, and hands signals on.
RUN command -v tini >/dev/null \
    || { apt-get update -qq && apt-get install -qq -y --no-install-recommends tini && rm -rf /var/lib/apt/lists/*; }
# Postgres wants its user to have a name.
RUN echo 'agenthost:x:10001:10001::/data:/usr/sbin/nologin' >>/etc/passwd \
    && mkdir -m 700 /data \
    && chown 10001:10001 /data
COPY --from=build /opt/agenthost /opt/agenthost
ENV PATH=/opt/agenthost/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    AGENTHOST_HOST=0.0.0.0 \
    AGENTHOST_PORT=8000 \
    AGENTHOST_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python3", "-I", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['AGENTHOST_PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["tini", "--", "agenthost"]
CMD ["up"]
