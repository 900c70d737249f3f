# One image for write, read, push and the migration; the command picks: `serve write|read|push`, `migrate`.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
# gunicorn_h1c is published as source only. A Python of Debian's has its headers in a package of their own.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gcc libc6-dev \
 && headers=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h \
 && { [ -e "$headers" ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-dev; }
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/kvcast
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY requirements.lock requirements-image.lock requirements-fast.lock requirements-supply.lock ./
# kubernetes/aio is 68 MB: the asyncio twin of the client, which nothing here imports
RUN /opt/build/bin/pip install -q --require-hashes --only-binary :all: -r requirements.lock \
 && /opt/build/bin/pip wheel -q --require-hashes --no-deps --no-build-isolation -w /wheels -r requirements-fast.lock \
 && pip="/opt/build/bin/pip --python /opt/kvcast/bin/python" \
 && $pip install -q --require-hashes --only-binary :all: -r requirements-image.lock \
 && $pip install -q --no-deps /wheels/*.whl \
 && rm -r /opt/kvcast/lib/python3*/site-packages/kubernetes/aio
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY kvcast kvcast
COPY functions functions
COPY web web
COPY scripts/sbom.py scripts/sbom.py
# The bill of materials is made before kvcast itself is there, which is what it is of.
RUN python3 -m venv /opt/supply \
 && /opt/supply/bin/pip install -q --require-hashes --only-binary :all: -r requirements-supply.lock \
 && /opt/supply/bin/python scripts/sbom.py /opt/kvcast/bin/python /opt/kvcast/sbom.cdx.json \
 && /opt/build/bin/pip wheel -q --no-deps --no-build-isolation -w /wheels . \
 && /opt/build/bin/pip --python /opt/kvcast/bin/python install -q --no-deps /wheels/kvcast-*.whl

FROM ${BASE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kvcast" \
      org.opencontainers.image.description="A key-value store whose every change reaches every browser that watches it" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/kvcast /opt/kvcast
ENV PATH=/opt/kvcast/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOST=0.0.0.0 PORT=8000 \
    KVCAST_LOG_FORMAT=json
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 8001
ENTRYPOINT ["kvcast"]
CMD ["--help"]
