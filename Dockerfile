# One image for every role. Without a command it is a worker; the others name theirs, and their own health check.
#
#   docker build --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" -t coachsync .
FROM python:3.13-slim-trixie AS build
ARG SOURCE_DATE_EPOCH=315532800
ENV SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1
WORKDIR /src
# Neither pip nor a compiler goes into the image: /opt/coachsync is filled from here, by hash.
RUN python -m venv --without-pip /opt/coachsync && python -m venv /opt/build
COPY requirements-build.lock requirements.lock ./
RUN pip --python /opt/build/bin/python install --no-deps --require-hashes -r requirements-build.lock \
 && pip --python /opt/coachsync/bin/python install --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas ./schemas
COPY api_adapter ./api_adapter
COPY worker ./worker
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation -w /opt/wheel . \
 && pip --python /opt/coachsync/bin/python install --no-deps /opt/wheel/coachsync-*.whl \
 && /opt/coachsync/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/coachsync/lib

FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --home-dir /var/lib/coachsync --create-home --shell /usr/sbin/nologin coachsync
COPY --from=build /opt/coachsync /opt/coachsync
ENV PATH=/opt/coachsync/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COACHSYNC_HOME=/var/lib/coachsync \
    COACHSYNC_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/coachsync
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["coachsync", "health", "worker", "--live"]
CMD ["coachsync", "worker"]
