# One image for every role: coachsync worker, loops, sandbox, db upgrade.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock requirements-build.lock pyproject.toml README.md LICENSE ./
COPY schemas ./schemas
COPY api_adapter ./api_adapter
COPY worker ./worker
RUN python -m venv /opt/coachsync \
 && /opt/coachsync/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock \
 && python -m venv /tmp/build && /tmp/build/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.lock \
 && /tmp/build/bin/pip wheel --no-deps --no-build-isolation -w /tmp/wheel . \
 && /opt/coachsync/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/coachsync --create-home coachsync
COPY --from=build /opt/coachsync /opt/coachsync
ENV PATH=/opt/coachsync/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    COACHSYNC_HOME=/var/lib/coachsync \
    COACHSYNC_LOG_FORMAT=json
USER coachsync
WORKDIR /var/lib/coachsync
STOPSIGNAL SIGTERM
CMD ["coachsync", "--help"]
