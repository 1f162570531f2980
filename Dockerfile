# The service as an image: Debian, its Python, and what a server installs; nothing is built, nobody is root.
# `make image`, then: docker run -p 8000:8000 -v legible:/data legible

FROM debian:bookworm-slim AS install
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python3 -m venv /opt/legible \
 && /opt/legible/bin/pip install --no-cache-dir --no-compile --constraint constraints.txt '.[postgres,redis,otel]' \
 && /opt/legible/bin/pip uninstall --yes pip setuptools \
 && find /opt/legible -name '*.pyi' -delete

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --create-home legible
COPY --from=install /opt/legible /opt/legible
ENV PATH=/opt/legible/bin:$PATH LEGIBLE_DATA_DIR=/data PYTHONDONTWRITEBYTECODE=1 container=docker
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/readyz', timeout=3)"]
ENTRYPOINT ["legible"]
CMD ["serve", "--host", "0.0.0.0"]
