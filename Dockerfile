# A small image that answers on port 4010 as a user without rights. The README says what of it has been run.
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[speed,redis]'

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'image-api-emulator[speed,redis]' && useradd --system emulator
USER emulator
ENV EMULATOR_HOST=0.0.0.0
EXPOSE 4010
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4010/_emulator/health', timeout=2)"]
ENTRYPOINT ["image-api-emulator"]
CMD ["serve"]
