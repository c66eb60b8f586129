# One image with the four programs, static, without a shell, as user 65532: /api, /worker, /scaler,
# and /leat, which runs when no other is named.
#
#   docker build -t leat .      builds them in Go's image
#   make image                  takes those that were built into bin/image, and needs no registry

FROM scratch AS settings
LABEL org.opencontainers.image.title="Leat" \
      org.opencontainers.image.source="https://github.com/leat-dev/leat" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 65532:65532
ENV PATH=/
EXPOSE 8080 9090
ENTRYPOINT ["/leat"]

FROM settings AS prebuilt
COPY bin/image/ /

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make binaries

FROM settings
COPY --from=build /src/bin/image/ /
