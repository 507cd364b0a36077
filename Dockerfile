# The image of borgwatch: a virtual environment on a slim Python, run by a user without a name, writing to /state and /tmp alone.
#
#     docker build -t borgwatch .
#
# Releases name the base by its digest (BASE_DIGEST=sha256:...), so that the same commit gives the same image. Any base will do
# that has Python 3.11 or newer with venv, libstdc++, CA certificates and time zones. Where pip needs settings of its own, hand them
# in as secrets, which stay out of the image: --secret id=pip_conf,src=pip.conf --secret id=pip_ca,src=ca.pem

ARG BASE=docker.io/library/python:3.13-slim-bookworm
ARG BASE_DIGEST=

FROM ${BASE}${BASE_DIGEST:+@}${BASE_DIGEST} AS builder

WORKDIR /build
ENV PIP_CONFIG_FILE=/run/secrets/pip_conf PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1

# What is installed first changes least. Hashes are checked, and nothing is compiled: a wheel or an error.
COPY requirements/build.txt requirements/run.txt requirements/
RUN --mount=type=secret,id=pip_conf --mount=type=secret,id=pip_ca \
    python3 -m venv tools \
    && python3 -m venv --without-pip /opt/borgwatch \
    && tools/bin/pip install -q --no-deps --require-hashes --only-binary :all: -r requirements/build.txt \
    && tools/bin/pip --python /opt/borgwatch/bin/python install -q --no-deps --require-hashes --only-binary :all: --no-compile \
        -r requirements/run.txt

COPY pyproject.toml README.md LICENSE ./
COPY rules rules/
COPY borgwatch borgwatch/
# Byte code is made here, for the root file system is read-only later; it is trusted without a look at times or sources. The samples
# of the rules are the first proof that all libraries load on this base.
RUN tools/bin/hatchling build -t wheel -d dist \
    && tools/bin/pip --python /opt/borgwatch/bin/python install -q --no-deps --no-index --no-compile dist/*.whl \
    && /opt/borgwatch/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/borgwatch/lib \
    && /opt/borgwatch/bin/borgwatch rules test \
    && mkdir -p image/watch image/rules image/config \
    && install -d -m 1777 image/state

FROM ${BASE}${BASE_DIGEST:+@}${BASE_DIGEST}

ARG BASE
ARG BASE_DIGEST
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="borgwatch" \
      org.opencontainers.image.description="Makes the outcome of unmodified Borg backups visible in TrueNAS, with proof of delivery" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"

# /state is open to all, so that a new volume takes any --user; the journal in it is not.
COPY --from=builder /build/image/ /
COPY --from=builder /opt/borgwatch /opt/borgwatch

ENV PATH=/opt/borgwatch/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BORGWATCH_WEB_HOST=0.0.0.0

# The user "apps" of TrueNAS. A number, so that engines can see that it is not root; no name or home is needed.
USER 568:568
VOLUME /state
STOPSIGNAL SIGTERM
# Degraded (TrueNAS is away) counts as healthy: a restart would not help. See `borgwatch healthcheck`.
HEALTHCHECK --interval=60s --timeout=10s --start-period=60s --retries=3 CMD ["borgwatch", "healthcheck"]
ENTRYPOINT ["borgwatch"]
CMD ["run"]
