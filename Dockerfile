# A small image that answers on port 4010 as a user without rights. The README says what of it has been run.
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[speed,redis,tls]'

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'image-api-emulator[speed,redis,tls]' && \
    useradd --system emulator && install -d -o emulator /tls
USER emulator
# Nothing needs a file system that can be written to: nothing is cached; an authority, if one is made, is in a volume.
ENV EMULATOR_HOST=0.0.0.0 EMULATOR_CACHE_DIR=off EMULATOR_TLS_DIR=/tls
EXPOSE 4010
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["python", "-c", "import os, ssl, urllib.request as r; e = os.environ.get; s = 'https' if e('EMULATOR_TLS') == 'true' else 'http'; r.urlopen(s + '://127.0.0.1:' + e('EMULATOR_PORT', '4010') + '/_emulator/health', timeout=2, context=ssl._create_unverified_context())"]
ENTRYPOINT ["image-api-emulator"]
CMD ["serve"]
