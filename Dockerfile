# docker build -t llm-metrics-proxy .
# Both stages are Debian's own Python on the same base, so what is compiled in the first one runs in the second. Another
# base of the same kind: --build-arg BASE=…; an authority that your network needs: --secret id=ca,src=FILE.pem
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
ARG DEBIAN_FRONTEND=noninteractive
# Versions are the distribution's: pinned ones are gone from its mirrors with the next security update.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3-venv \
 && rm -rf /var/lib/apt/lists/*
# The installer stays here; the program's environment has none.
RUN python3 -m venv /opt/installer && python3 -m venv --without-pip /opt/llm-metrics-proxy
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock /src/
RUN --mount=type=secret,id=ca,target=/run/ca.pem \
    if [ -s /run/ca.pem ]; then export PIP_CERT=/run/ca.pem NODE_EXTRA_CA_CERTS=/run/ca.pem; fi; \
    /opt/installer/bin/pip --python /opt/llm-metrics-proxy/bin/python install \
      --no-deps --require-hashes --requirement /src/requirements.lock
COPY tools/prune.py /src/tools/
RUN python3 /src/tools/prune.py /opt/llm-metrics-proxy/lib/python3*/site-packages
# The dashboard is built by the package's own build, with Node from a wheel, unless the folder brings it built.
COPY . /src
RUN --mount=type=secret,id=ca,target=/run/ca.pem \
    if [ -s /run/ca.pem ]; then export PIP_CERT=/run/ca.pem NODE_EXTRA_CA_CERTS=/run/ca.pem; fi; \
    /opt/installer/bin/pip --python /opt/llm-metrics-proxy/bin/python install --no-deps /src

FROM ${BASE}
ARG DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 llm-metrics-proxy \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin llm-metrics-proxy \
 && install -d -o 10001 -g 10001 -m 700 /data
COPY --from=build /opt/llm-metrics-proxy /opt/llm-metrics-proxy
COPY deploy/container/healthcheck.py /opt/llm-metrics-proxy/bin/healthcheck
ENV PATH=/opt/llm-metrics-proxy/bin:$PATH \
    LLM_METRICS_PROXY_HOST=0.0.0.0 \
    LLM_METRICS_PROXY_METRICS_HOST=0.0.0.0 \
    LLM_METRICS_PROXY_DATA_DIR=/data \
    LLM_METRICS_PROXY_DRAIN_TIMEOUT_S=4
# By number, so that an orchestrator can see that it is not root's.
USER 10001:10001
VOLUME /data
EXPOSE 8001 8002
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-I", "/opt/llm-metrics-proxy/bin/healthcheck", "8001", "8002"]
# The supervisor is PID 1: it takes SIGTERM, stops its processes in order, and reaps them.
ENTRYPOINT ["llm-metrics-proxy"]
CMD ["serve"]
